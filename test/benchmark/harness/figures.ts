/**
 * Measures every contender once per round. Each round begins with another one, so that a temporary load on the machine
 * affects all of them.
 * @returns the results of `measure` by contender, in the order of the rounds.
 */
export async function interleave<K extends string, T>(
  contenders: readonly K[],
  rounds: number,
  measure: (contender: K) => Promise<T>,
): Promise<Record<K, T[]>> {
  const results = Object.fromEntries(contenders.map((name) => [name, [] as T[]])) as Record<K, T[]>;
  for (let round = 0; round < rounds; round++) {
    const first = round % contenders.length;
    for (const name of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      results[name].push(await measure(name));
    }
  }
  return results;
}

/** The median; of an even number of values the lower middle one, so that it is always a measured value. */
export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Percentile by the nearest-rank method. @param p 0 to 100. @returns NaN for no values. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((p / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly samples: readonly number[];
}

export function spread(samples: readonly number[]): Spread {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples };
}

/** a[i] / b[i]. Both values are of the same round, so that other load on the machine affected both. */
export function pairedRatios(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, round) => value / (b[round] ?? Number.NaN));
}

export function pairedRatio(a: readonly number[], b: readonly number[]): number {
  return median(pairedRatios(a, b).filter(Number.isFinite));
}

/** Bounds of a figure, both inclusive. */
export interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** `0.97 ✓ (≥ 0.95)`: the figure, a mark that it meets its goal, and the goal. Without a goal the figure alone. */
export function judged(value: number, { atLeast, atMost }: Goal = {}): string {
  const text = Number.isFinite(value) ? value.toFixed(2) : '–';
  if (atLeast === undefined && atMost === undefined) return text;
  const met = value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Number.POSITIVE_INFINITY);
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  return `${text} ${met ? '✓' : '✗'} (${bound})`;
}

/** The interquartile range of the values, which shows how far a ratio can be trusted. */
export function middleHalf(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return values.length < 2 ? median(values).toFixed(2) : `${at(0.25).toFixed(2)}–${at(0.75).toFixed(2)}`;
}

/** Formats 23456 as `23.5k`, 345.6 as `346` and 3.456 as `3.46`. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** `12.1 (11.8–13.0)`: median, lowest and highest. */
export function shortSpread({ median, min, max }: Spread): string {
  return `${short(median)} (${short(min)}–${short(max)})`;
}

/** A table for a terminal. The first column is aligned left, the others right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    widths
      .map((width, column) => (column > 0 ? (row[column] ?? '').padStart(width) : (row[column] ?? '').padEnd(width)))
      .join('  ');
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}
