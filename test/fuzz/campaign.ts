import type { Parameters } from 'fast-check';

/** `npm run fuzz` says how many times as many cases as are noted here; the tiers, which have the same ones each time, take a fifth. */
const SCALE = Number(process.env.FUZZ_SCALE ?? 0.2);
/** Of a failure that fast-check or the byte fuzzer shows: the same seed and scale have it again. */
export const SEED = Number(process.env.FUZZ_SEED ?? 20261126);

/** @param once how many `npm run fuzz -- --times 1` takes. */
export function cases(once: number): number {
  return Math.ceil(once * SCALE);
}

/** For fast-check. @param once as of `cases`. */
export function runs<T>(once: number): Parameters<T> {
  return { numRuns: cases(once), seed: SEED };
}

/** Most of what is tried fails: stacks, which are made each time, cost more than all the rest. */
export function withShortStacks(): void {
  const { stackTraceLimit } = Error;
  before(() => {
    Error.stackTraceLimit = 1;
  });
  after(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });
}
