/** `catamount/testing`: what an app's tests need, with whatever test runner. */
export {
  assertEnqueued,
  assertEnqueuedJobs,
  assertNoEnqueued,
  enqueuedJobs,
} from './assert-enqueued';
export {
  assertEnqueuedEmail,
  assertEnqueuedEmails,
  assertEnqueuedEmailWith,
  type EnqueuedEmailMatch,
  type EnqueuedEmailWith,
} from './assert-enqueued-email';
export {
  assertNoPerformed,
  assertPerformed,
  assertPerformedJobs,
  type PerformedMatch,
  performedJobs,
} from './assert-performed';
export type { TestJobs } from './connected-mode';
export { type CronTimes, enqueueCronJobs } from './enqueue-cron-jobs';
export type { EnqueuedMatch, JobMatch } from './job-match';
export type { JobEnd } from './ledger';
export { assertEmails, captureEmails, deliveries, type TestMails, useTestMail } from './mails';
export type { JobFilter, PerformOptions } from './mode';
export { performEnqueuedEmails } from './perform-enqueued-emails';
export { performEnqueuedJobs } from './perform-enqueued-jobs';
export type { TestDatabase, TestDatabaseOptions } from './test-database';
export type { PerformedTestJob, TestJob } from './test-job';
export type { TestMailOptions } from './test-mail';
export { travel, travelBack, travelTo } from './travel';
export { type MemoryOptions, type RealOptions, useFakeJobs, useInlineJobs, useRealJobs } from './use-jobs';
export { useTestDatabase } from './use-test-database';
