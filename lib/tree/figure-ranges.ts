/** How far back figures are kept, and how fine: each range has as many steps. */
export const FIGURE_RANGES = [
  { name: '10m', stepS: 10 },
  { name: '1h', stepS: 60 },
  { name: '6h', stepS: 360 },
  { name: '24h', stepS: 1440 },
] as const;

export type FigureRange = (typeof FIGURE_RANGES)[number]['name'];

/** Steps that are shown. */
export const STEPS = 60;
/** Places in a ring: some more, so that what is written does not touch what is shown. */
export const RING = 64;

export function stepMsOf(range: FigureRange): number {
  return (FIGURE_RANGES.find(({ name }) => name === range)?.stepS ?? 60) * 1000;
}

export function isFigureRange(text: unknown): text is FigureRange {
  return FIGURE_RANGES.some(({ name }) => name === text);
}
