/** `catamount/testing`: helpers for an app's tests, independent of the test runner. */

export type { During } from './assert-count';
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
export { assertEmails, assertEnqueuedEmails, assertEnqueuedEmailWith, type EnqueuedEmailWith } from './assert-mails';
export { assertNoPart, assertPart } from './assert-parts';
export type { JobFilter, PerformOptions } from './job-filter';
export type { JobEnd } from './job-log';
export type { EnqueuedMatch, JobMatch } from './job-match';
export { performEnqueuedEmails } from './perform-emails';
export { performEnqueuedJobs } from './perform-jobs';
export {
  request,
  type TestAnswer,
  type TestRequestOptions,
  type TestRequests,
  type TestRequestsOptions,
} from './request';
export type { TestDatabase, TestDatabaseOptions } from './test-database';
export type { PerformedTestJob, TestJob } from './test-job';
export type { TestMailOptions, TestMails } from './test-mail';
export { travel, travelBack, travelTo } from './travel';
export type { TestJobs } from './use-jobs';
export {
  type DependencyOptions as EquipmentOptions,
  useFakeJobs,
  useInlineJobs,
  useTestDatabase,
} from './use-jobs';
export { captureEmails, deliveries, useTestMail } from './use-test-mail';
