import type { Parameters } from 'fast-check';

/** `npm run fuzz` goes further than the quick form: so many times as many cases, from a seed of its own. */
const SCALE = Number(process.env.FUZZ_SCALE ?? 1);
/** Of a failure that fast-check or the byte fuzzer shows: the same seed and scale have it again. */
export const SEED = Number(process.env.FUZZ_SEED ?? 20261126);

/** @param quick how many the test suite's own run takes. */
export function cases(quick: number): number {
  return Math.ceil(quick * SCALE);
}

/** For fast-check. @param quick as of `cases`. */
export function runs<T>(quick: number): Parameters<T> {
  return { numRuns: cases(quick), seed: SEED };
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
