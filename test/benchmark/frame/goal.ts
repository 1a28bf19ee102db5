import { median } from './statistics';

/** What a figure is held to. */
export interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** `0.97 ✓ (≥ 0.95)`: the figure, whether it meets its goal, and the goal. Without a goal the figure alone. */
export function judged(value: number, { atLeast, atMost }: Goal = {}): string {
  const text = Number.isFinite(value) ? value.toFixed(2) : '–';
  if (atLeast === undefined && atMost === undefined) return text;
  const met = value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Number.POSITIVE_INFINITY);
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  return `${text} ${met ? '✓' : '✗'} (${bound})`;
}

/** The middle half of the values, as a range: how much a ratio is to be trusted. */
export function middleHalf(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return values.length < 2 ? median(values).toFixed(2) : `${at(0.25).toFixed(2)}–${at(0.75).toFixed(2)}`;
}
