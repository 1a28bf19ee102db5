import type { JobClass, Performable } from '../job/definition/job-class';
import { effectiveName } from '../job/definition/options';
import { assertCount, type Caller, type Counted, type During } from './assert-count';
import { describeMatch } from './describe-job';
import { describeFilter, type JobFilter, matchesFilter } from './job-filter';
import type { JobEnd, LoggedJob } from './job-log';
import { type EnqueuedMatch, type JobMatch, matcher } from './job-match';
import { type PerformedTestJob, type TestJob, toPerformedJob, toTestJob } from './test-job';
import { connectedMode } from './use-jobs';
import { requireCount, requireDuring, requireFilter, requireJobClass, requireMatch } from './wrong-arguments';

const ENDS: readonly JobEnd[] = ['succeeded', 'discarded', 'dead', 'failed', 'cancelled', 'expired'];

/** What assertions about enqueued and about performed jobs count, and the properties of a match that they compare. */
interface Kind extends Pick<Counted<unknown>, 'verb' | 'states'> {
  readonly parts: readonly string[];
}

const ENQUEUED: Kind = {
  verb: 'enqueued',
  states: ['enqueued'],
  parts: ['args', 'queue', 'at', 'wait', 'times', 'where'],
};
const PERFORMED: Kind = { verb: 'performed', states: ENDS, parts: ['args', 'queue', 'outcome', 'times', 'where'] };

const nothing = (): void => undefined;

/** @param jobClass undefined: of any class. */
function assertMatching<J extends Performable, T>(
  caller: Caller,
  { verb, states, parts }: Kind,
  jobClass: JobClass<J> | undefined,
  match: EnqueuedMatch<J> & PerformedMatch<J>,
  during: During | undefined,
  present: Counted<T>['present'],
): T | Promise<T> {
  const mode = connectedMode(caller.name);
  if (jobClass !== undefined) requireJobClass(caller.name, jobClass);
  requireMatch(caller.name, match, parts);
  requireDuring(caller.name, during);
  const { outcome, times } = match;
  const matches = jobClass ? matcher(jobClass, match, mode.dependencies.codec) : () => true;
  const what = jobClass ? describeMatch(effectiveName(jobClass), match) : 'jobs';
  const subject = outcome === undefined || outcome === 'succeeded' ? what : `${what}, ${outcome}`;
  const counted = { verb, states: outcome ? [outcome] : states, subject, matches, times, present };
  return assertCount(mode, counted, during, caller);
}

function assertNumber(
  caller: Caller,
  { verb, states }: Kind,
  count: number,
  during: During | undefined,
  filter: JobFilter,
): void | Promise<void> {
  const mode = connectedMode(caller.name);
  requireCount(caller.name, count);
  requireDuring(caller.name, during);
  requireFilter(caller.name, filter);
  const [subject, matches] = [describeFilter(filter), matchesFilter(filter)];
  return assertCount(mode, { verb, states, subject, matches, times: count, present: nothing }, during, caller);
}

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
/** The same for one function. @param during only jobs that it enqueues count. */
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
  requireJobClass('assertEnqueued', jobClass);
  const { codec } = connectedMode('assertEnqueued').dependencies;
  const present = (found: readonly LoggedJob[]) => found.map((entry) => toTestJob(entry, codec));
  return assertMatching<J, readonly TestJob[]>(assertEnqueued, ENQUEUED, jobClass, match, during, present);
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
/** The same for one function. @param during only jobs that it enqueues count. */
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
  return assertMatching(assertNoEnqueued, ENQUEUED, jobClass, { ...match, times: 0 }, during, nothing);
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
  return assertNumber(assertEnqueuedJobs, ENQUEUED, count, during, filter);
}

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
/** The same for one function. @param during only jobs that it enqueues count. */
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
  requireJobClass('assertPerformed', jobClass);
  const { codec } = connectedMode('assertPerformed').dependencies;
  const present = (found: readonly LoggedJob[]) => found.map((entry) => toPerformedJob(entry, codec));
  const wanted = { outcome: 'succeeded', ...match } as const;
  return assertMatching<J, readonly PerformedTestJob[]>(assertPerformed, PERFORMED, jobClass, wanted, during, present);
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
  return assertMatching(assertNoPerformed, PERFORMED, jobClass, { ...match, times: 0 }, during, nothing);
}

/**
 * Fails unless exactly `count` jobs have been performed, whatever their outcome. The parameters are those of
 * `assertEnqueuedJobs`.
 */
export function assertPerformedJobs(count: number, during?: undefined, filter?: JobFilter): void;
export function assertPerformedJobs(count: number, during: During, filter?: JobFilter): Promise<void>;
export function assertPerformedJobs(count: number, during?: During, filter: JobFilter = {}) {
  return assertNumber(assertPerformedJobs, PERFORMED, count, during, filter);
}
