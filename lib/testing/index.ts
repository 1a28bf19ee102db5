/** `catamount/testing`: helpers for an app's tests, independent of the test runner. */
export {
  assertEnqueued,
  assertEnqueuedJobs,
  assertNoEnqueued,
  assertNoPerformed,
  assertPerformed,
  assertPerformedJobs,
  enqueuedJobs,
  type PerformedMatch,
  performedJobs,
} from './assert-jobs';
export {
  assertEmails,
  assertEnqueuedEmail,
  assertEnqueuedEmails,
  assertEnqueuedEmailWith,
  captureEmails,
  deliveries,
  type EnqueuedEmailMatch,
  type EnqueuedEmailWith,
  type MessageToMatch,
  performEnqueuedEmails,
  useTestMail,
} from './assert-mails';
export type { During, EnqueuedMatch, JobMatch, PerformedTestJob, TestJob } from './assertions';
export type { JobEnd } from './job-log';
export type { Commits } from './memory-jobs';
export { type CronTimes, enqueueCronJobs, performEnqueuedJobs } from './perform-jobs';
export {
  request,
  type TestAnswer,
  type TestRequestOptions,
  type TestRequests,
  type TestRequestsOptions,
} from './request';
export type { TestDatabase, TestDatabaseOptions } from './test-database';
export type { TestMailOptions, TestMails } from './test-mail';
export { travel, travelBack, travelTo } from './travel';
export type { JobFilter, PerformOptions, TestJobs } from './use-jobs';
export {
  type DependencyOptions as EquipmentOptions,
  type MemoryOptions,
  type RealOptions,
  useFakeJobs,
  useInlineJobs,
  useRealJobs,
  useTestDatabase,
} from './use-jobs';
