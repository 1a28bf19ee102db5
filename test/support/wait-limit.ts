/**
 * Time after which a test stops waiting for a condition and fails, ms. It is far longer than any condition takes, and
 * the runner raises it if it measures slow process starts. All tests share one limit, so that none depends on a
 * machine's speed.
 */
export const WAIT_LIMIT_MS = Number(process.env.CATAMOUNT_TEST_LIMIT_MS ?? 60_000);
