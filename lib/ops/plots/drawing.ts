import type { Plot, Series } from './plot';

/** A plot as the server draws it, in a box of 100 by 100 with 0 at the bottom. */
export interface Drawing {
  /** In the order in which they are painted. */
  readonly paths: readonly { readonly className: string; readonly d: string }[];
  readonly limitY: number | null;
  /** Names of layers, at their last known figures, each to the left of its point. */
  readonly labels: readonly { readonly x: number; readonly y: number; readonly text: string }[];
}

/** A thinner layer has no room for its name, percent of the plot. */
const NAMED = 12;

export function drawingOf({ series, stacked, max, limit }: Plot): Drawing {
  const limitY = limit === null ? null : round(100 - (limit / max) * 100);
  if (stacked) {
    const sums = cumulate(series);
    // The topmost first: each covers what is above it down to the bottom.
    const paths = sums.map((values, i) => ({ className: `layer ${series[i]?.look}`, d: area(values, max) })).reverse();
    return { paths, limitY, labels: labelsOf(series, max) };
  }
  const areas = series.slice(0, 1).map(({ look, values }) => ({ className: `ar ${look}`, d: area(values, max) }));
  const lines = series.map(({ look, values }) => ({ className: `ln ${look}`, d: line(values, max) }));
  return { paths: [...areas, ...lines], limitY, labels: [] };
}

function labelsOf(series: readonly Series[], max: number): Drawing['labels'] {
  const last = Math.max(-1, ...series.map(({ values }) => values.findLastIndex((value) => value !== null)));
  let below = 0;
  return series.flatMap(({ label, values }) => {
    const value = values[last] ?? 0;
    const middle = below + value / 2;
    below += value;
    if ((value / max) * 100 < NAMED) return [];
    return [{ x: round((last / (values.length - 1)) * 100), y: round(100 - (middle / max) * 100), text: label }];
  });
}

/** Each with those below it. */
export function cumulate(series: readonly Series[]): (number | null)[][] {
  let below: readonly (number | null)[] = [];
  return series.map(({ values }) => {
    const sum = values.map((value, i) => (value === null ? null : value + (below[i] ?? 0)));
    below = sum;
    return sum;
  });
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Stretches without gaps. */
function stretches(values: readonly (number | null)[], max: number): Point[][] {
  const found: Point[][] = [];
  let current: Point[] | undefined;
  for (const [i, value] of values.entries()) {
    if (value === null) {
      current = undefined;
      continue;
    }
    if (!current) {
      current = [];
      found.push(current);
    }
    current.push({ x: round((i / (values.length - 1)) * 100), y: round(100 - (Math.min(value, max) / max) * 100) });
  }
  return found;
}

function line(values: readonly (number | null)[], max: number): string {
  // A lone point is drawn as a short dash.
  return stretches(values, max)
    .map((points) => `M${points.map(({ x, y }) => `${x} ${y}`).join('L')}${points.length === 1 ? 'h.5' : ''}`)
    .join('');
}

function area(values: readonly (number | null)[], max: number): string {
  return stretches(values, max)
    .map((points) => `M${points[0]?.x} 100L${points.map(({ x, y }) => `${x} ${y}`).join('L')}L${points.at(-1)?.x} 100Z`)
    .join('');
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
