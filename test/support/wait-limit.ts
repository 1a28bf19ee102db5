/**
 * Time after which a test stops waiting for a condition and fails, ms. Far longer than any condition takes; the runner
 * raises it where it measured slow process starts. One limit for all tests, so that none prescribes a machine's speed.
 */
export const WAIT_LIMIT_MS = Number(process.env.CATAMOUNT_TEST_LIMIT_MS ?? 60_000);
