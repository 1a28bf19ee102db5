/** Seed of the long forms, set by `npm run chaos -- long --seed 5`. */
export const LONG_SEED = Number(process.env.CHAOS_SEED ?? 1);
/** Length of a long form that runs for a time, minutes, set by `--minutes`. */
export const LONG_MINUTES = Number(process.env.CHAOS_MINUTES ?? 10);

/** @returns the first of the two in the deep tier, and the second in `npm run chaos -- long`, which runs the same test. */
export function sized<T>(deep: T, long: T): T {
  return process.env.CHAOS_LONG === 'yes' ? long : deep;
}
