/**
 * How long a test waits for a condition before it fails, ms: far longer than any takes, and longer yet where processes start
 * slowly, which the runner has measured. One limit for all, so that no test says how fast the machine has to be.
 */
export const WAIT_LIMIT_MS = Number(process.env.CATAMOUNT_TEST_LIMIT_MS ?? 60_000);
