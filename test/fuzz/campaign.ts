import type { Parameters } from 'fast-check';

/** The factor by which the numbers of cases in the tests are multiplied. `npm run fuzz` sets it; the tiers try a fifth. */
const SCALE = Number(process.env.FUZZ_SCALE ?? 0.2);
/** The seed of fast-check and the byte fuzzer: the same seed and scale reproduce a failure. */
export const SEED = Number(process.env.FUZZ_SEED ?? 20261126);

/** @param once the number of cases that `npm run fuzz -- --times 1` tries. */
export function cases(once: number): number {
  return Math.ceil(once * SCALE);
}

/** The settings of fast-check. @param once see `cases`. */
export function runs<T>(once: number): Parameters<T> {
  return { numRuns: cases(once), seed: SEED };
}

/** Most inputs end in an error, whose stack trace would cost more than everything else. */
export function withShortStacks(): void {
  const { stackTraceLimit } = Error;
  before(() => {
    Error.stackTraceLimit = 1;
  });
  after(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });
}
