import type { JobClass, Performable } from '../job/definition/job-class';
import { effectiveName } from '../job/definition/options';
import {
  assertCount,
  check,
  type During,
  describeMatch,
  type EnqueuedMatch,
  type JobMatch,
  matcher,
  type PerformedTestJob,
  type TestJob,
  toPerformedJob,
  toTestJob,
} from './assertions';
import { describeFilter, type JobEnd, matchesFilter } from './job-log';
import { connectedMode, type JobFilter } from './use-jobs';
import { requireCount, requireDuring, requireFilter, requireJobClass, requireMatch } from './wrong-arguments';

const ENQUEUED_PARTS = ['args', 'queue', 'at', 'wait', 'times', 'where'];
const PERFORMED_PARTS = ['args', 'queue', 'outcome', 'times', 'where'];

/**
 * @returns the jobs that are enqueued and not yet performed, oldest first, except those of uncommitted transactions.
 */
export function enqueuedJobs(filter: JobFilter = {}): readonly TestJob[] {
  const { jobLog, dependencies } = connectedMode('enqueuedJobs');
  requireFilter('enqueuedJobs', filter);
  const found = jobLog.in(['enqueued']).filter(matchesFilter(filter));
  return found.map((entry) => toTestJob(entry, dependencies.codec));
}

/**
 * Fails unless a matching job is enqueued.
 *
 *     assertEnqueued(WelcomeEmailJob)
 *     assertEnqueued(WelcomeEmailJob, { args: [user.id], queue: 'mailer', times: 1 })
 *     assertEnqueued(ReminderJob, { wait: '3d' })
 *     await assertEnqueued(WelcomeEmailJob, {}, () => signUp({ email }))
 *
 * @returns the matching jobs, oldest first.
 * @throws AssertionError that lists what is enqueued instead.
 */
export function assertEnqueued<J extends Performable>(
  jobClass: JobClass<J>,
  match?: EnqueuedMatch<J>,
): readonly TestJob[];
/**
 * Checks the same for the effects of one piece of code.
 * @param during only jobs that it enqueues count.
 * @returns the matching jobs, oldest first.
 * @throws AssertionError that lists what is enqueued instead.
 */
export function assertEnqueued<J extends Performable>(
  jobClass: JobClass<J>,
  match: EnqueuedMatch<J>,
  during: During,
): Promise<readonly TestJob[]>;
export function assertEnqueued<J extends Performable>(
  jobClass: JobClass<J>,
  match: EnqueuedMatch<J> = {},
  during?: During,
) {
  const mode = connectedMode('assertEnqueued');
  requireJobClass('assertEnqueued', jobClass);
  requireMatch('assertEnqueued', match, ENQUEUED_PARTS);
  requireDuring('assertEnqueued', during);
  const matches = matcher(jobClass, match, mode.dependencies.codec);
  return check<readonly TestJob[]>(mode, during, (since) => {
    const found = mode.jobLog.in(['enqueued'], since).filter(matches);
    const subject = describeMatch(effectiveName(jobClass), match);
    assertCount(mode, { subject, verb: 'enqueued', found, times: match.times, since }, assertEnqueued);
    return found.map((entry) => toTestJob(entry, mode.dependencies.codec));
  });
}

/**
 * Fails if a matching job is enqueued; without a class, if any job is.
 *
 *     assertNoEnqueued()
 *     assertNoEnqueued(WelcomeEmailJob, { args: [user.id] })
 *     await assertNoEnqueued(WelcomeEmailJob, {}, () => signUp({ email: 'nonsense' }))
 *
 * @throws AssertionError that lists what is enqueued.
 */
export function assertNoEnqueued<J extends Performable>(
  jobClass?: JobClass<J>,
  match?: Omit<EnqueuedMatch<J>, 'times'>,
): void;
/**
 * Checks the same for the effects of one piece of code.
 * @param during only jobs that it enqueues count.
 * @throws AssertionError that lists what is enqueued.
 */
export function assertNoEnqueued<J extends Performable>(
  jobClass: JobClass<J> | undefined,
  match: Omit<EnqueuedMatch<J>, 'times'>,
  during: During,
): Promise<void>;
export function assertNoEnqueued<J extends Performable>(
  jobClass?: JobClass<J>,
  match: EnqueuedMatch<J> = {},
  during?: During,
) {
  const mode = connectedMode('assertNoEnqueued');
  if (jobClass !== undefined) requireJobClass('assertNoEnqueued', jobClass);
  requireMatch('assertNoEnqueued', match, ENQUEUED_PARTS);
  requireDuring('assertNoEnqueued', during);
  const matches = jobClass ? matcher(jobClass, match, mode.dependencies.codec) : () => true;
  return check(mode, during, (since) => {
    const found = mode.jobLog.in(['enqueued'], since).filter(matches);
    const subject = jobClass ? describeMatch(effectiveName(jobClass), match) : 'jobs';
    assertCount(mode, { subject, verb: 'enqueued', found, times: 0, since }, assertNoEnqueued);
  });
}

/**
 * Fails unless exactly `count` jobs are enqueued.
 *
 *     assertEnqueuedJobs(2)
 *     await assertEnqueuedJobs(1, () => signUp({ email }), { only: WelcomeEmailJob })
 *
 * @param during if given, only jobs that it enqueues count, and a promise is returned.
 * @throws AssertionError that lists what is enqueued.
 */
export function assertEnqueuedJobs(count: number, during?: undefined, filter?: JobFilter): void;
export function assertEnqueuedJobs(count: number, during: During, filter?: JobFilter): Promise<void>;
export function assertEnqueuedJobs(count: number, during?: During, filter: JobFilter = {}) {
  const mode = connectedMode('assertEnqueuedJobs');
  requireCount('assertEnqueuedJobs', count);
  requireDuring('assertEnqueuedJobs', during);
  requireFilter('assertEnqueuedJobs', filter);
  const matches = matchesFilter(filter);
  return check(mode, during, (since) => {
    const found = mode.jobLog.in(['enqueued'], since).filter(matches);
    const subject = describeFilter(filter);
    assertCount(mode, { subject, verb: 'enqueued', found, times: count, since }, assertEnqueuedJobs);
  });
}

const ENDS: readonly JobEnd[] = ['succeeded', 'discarded', 'dead', 'failed'];

/** Narrows an assertion about performed jobs. An omitted property matches anything. */
export interface PerformedMatch<J extends Performable = Performable> extends JobMatch<J> {
  /** Default: succeeded. */
  readonly outcome?: JobEnd;
}

/** @returns the finished jobs, in the order in which they were enqueued. */
export function performedJobs(filter: JobFilter = {}): readonly PerformedTestJob[] {
  const { jobLog, dependencies } = connectedMode('performedJobs');
  requireFilter('performedJobs', filter);
  const found = jobLog.in(ENDS).filter(matchesFilter(filter));
  return found.map((entry) => toPerformedJob(entry, dependencies.codec));
}

/**
 * Fails unless a matching job has been performed, with success or with the given `outcome`.
 *
 *     await performEnqueuedJobs()
 *     assertPerformed(WelcomeEmailJob, { args: [user.id] })
 *     assertPerformed(ImportJob, { outcome: 'discarded' })
 *     await assertPerformed(WelcomeEmailJob, {}, () => performEnqueuedJobs(() => signUp({ email })))
 *
 * @returns the matching jobs, in the order in which they were enqueued.
 * @throws AssertionError that lists what was performed instead, and how it ended.
 */
export function assertPerformed<J extends Performable>(
  jobClass: JobClass<J>,
  match?: PerformedMatch<J>,
): readonly PerformedTestJob[];
/**
 * Checks the same for the effects of one piece of code.
 * @param during only jobs that it enqueues count.
 * @returns the matching jobs, in the order in which they were enqueued.
 * @throws AssertionError that lists what was performed instead, and how it ended.
 */
export function assertPerformed<J extends Performable>(
  jobClass: JobClass<J>,
  match: PerformedMatch<J>,
  during: During,
): Promise<readonly PerformedTestJob[]>;
export function assertPerformed<J extends Performable>(
  jobClass: JobClass<J>,
  match: PerformedMatch<J> = {},
  during?: During,
) {
  const mode = connectedMode('assertPerformed');
  requireJobClass('assertPerformed', jobClass);
  requireMatch('assertPerformed', match, PERFORMED_PARTS);
  requireDuring('assertPerformed', during);
  const { outcome = 'succeeded', times } = match;
  const matches = matcher(jobClass, match, mode.dependencies.codec);
  return check<readonly PerformedTestJob[]>(mode, during, (since) => {
    const found = mode.jobLog.in([outcome], since).filter(matches);
    const suffix = outcome === 'succeeded' ? '' : `, ${outcome}`;
    const subject = `${describeMatch(effectiveName(jobClass), match)}${suffix}`;
    assertCount(mode, { subject, verb: 'performed', found, times, since }, assertPerformed);
    return found.map((entry) => toPerformedJob(entry, mode.dependencies.codec));
  });
}

/**
 * Fails if a job, or one of a class, has been performed, whatever its outcome. The parameters are those of
 * `assertNoEnqueued`.
 */
export function assertNoPerformed<J extends Performable>(
  jobClass?: JobClass<J>,
  match?: Omit<JobMatch<J>, 'times'>,
): void;
export function assertNoPerformed<J extends Performable>(
  jobClass: JobClass<J> | undefined,
  match: Omit<JobMatch<J>, 'times'>,
  during: During,
): Promise<void>;
export function assertNoPerformed<J extends Performable>(
  jobClass?: JobClass<J>,
  match: JobMatch<J> = {},
  during?: During,
) {
  const mode = connectedMode('assertNoPerformed');
  if (jobClass !== undefined) requireJobClass('assertNoPerformed', jobClass);
  requireMatch('assertNoPerformed', match, PERFORMED_PARTS);
  requireDuring('assertNoPerformed', during);
  const matches = jobClass ? matcher(jobClass, match, mode.dependencies.codec) : () => true;
  return check(mode, during, (since) => {
    const found = mode.jobLog.in(ENDS, since).filter(matches);
    const subject = jobClass ? describeMatch(effectiveName(jobClass), match) : 'jobs';
    assertCount(mode, { subject, verb: 'performed', found, times: 0, since }, assertNoPerformed);
  });
}

/**
 * Fails unless exactly `count` jobs have been performed, whatever their outcome. The parameters are those of
 * `assertEnqueuedJobs`.
 */
export function assertPerformedJobs(count: number, during?: undefined, filter?: JobFilter): void;
export function assertPerformedJobs(count: number, during: During, filter?: JobFilter): Promise<void>;
export function assertPerformedJobs(count: number, during?: During, filter: JobFilter = {}) {
  const mode = connectedMode('assertPerformedJobs');
  requireCount('assertPerformedJobs', count);
  requireDuring('assertPerformedJobs', during);
  requireFilter('assertPerformedJobs', filter);
  const matches = matchesFilter(filter);
  return check(mode, during, (since) => {
    const found = mode.jobLog.in(ENDS, since).filter(matches);
    const subject = describeFilter(filter);
    assertCount(mode, { subject, verb: 'performed', found, times: count, since }, assertPerformedJobs);
  });
}
