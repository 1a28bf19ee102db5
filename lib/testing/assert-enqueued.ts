import type { JobClass, Performable } from '../job/job-class';
import { assertCount, check, type During } from './assertion';
import { connectedMode } from './connected-mode';
import { describeFilter, matchesFilter } from './job-filter';
import { type EnqueuedMatch, matcher } from './job-match';
import type { JobFilter } from './mode';
import { describeMatch } from './report';
import { type TestJob, testJobOf } from './test-job';

/** What is enqueued and has not been performed, oldest first; nothing of a transaction that has not committed. */
export function enqueuedJobs(filter: JobFilter = {}): readonly TestJob[] {
  const { ledger, equipment } = connectedMode('enqueuedJobs');
  const found = ledger.in(['enqueued']).filter(matchesFilter(filter));
  return found.map((entry) => testJobOf(entry, equipment.codec));
}

/**
 * Fails unless such a job is enqueued.
 *
 *     assertEnqueued(WelcomeEmailJob)
 *     assertEnqueued(WelcomeEmailJob, { args: [user.id], queue: 'mailer', times: 1 })
 *     assertEnqueued(ReminderJob, { wait: '3d' })
 *     await assertEnqueued(WelcomeEmailJob, {}, () => signUp({ email }))
 *
 * @param during only what this enqueues is looked at; then a promise is returned.
 * @returns those that match, oldest first.
 * @throws AssertionError that lists what is enqueued instead.
 */
export function assertEnqueued<J extends Performable>(
  jobClass: JobClass<J>,
  match?: EnqueuedMatch<J>,
): readonly TestJob[];
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
  const matches = matcher(jobClass, match, mode.equipment.codec);
  return check<readonly TestJob[]>(mode, during, (since) => {
    const found = mode.ledger.in(['enqueued'], since).filter(matches);
    const subject = describeMatch(jobClass, match);
    assertCount(mode, { subject, verb: 'enqueued', found, times: match.times, since }, assertEnqueued);
    return found.map((entry) => testJobOf(entry, mode.equipment.codec));
  });
}

/**
 * Fails if such a job is enqueued; without a class, if any is.
 *
 *     assertNoEnqueued()
 *     assertNoEnqueued(WelcomeEmailJob, { args: [user.id] })
 *     await assertNoEnqueued(WelcomeEmailJob, {}, () => signUp({ email: 'nonsense' }))
 *
 * @param during only what this enqueues is looked at; then a promise is returned.
 * @throws AssertionError that lists what is enqueued.
 */
export function assertNoEnqueued<J extends Performable>(
  jobClass?: JobClass<J>,
  match?: Omit<EnqueuedMatch<J>, 'times'>,
): void;
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
  const matches = jobClass ? matcher(jobClass, match, mode.equipment.codec) : () => true;
  return check(mode, during, (since) => {
    const found = mode.ledger.in(['enqueued'], since).filter(matches);
    const subject = jobClass ? describeMatch(jobClass, match) : 'jobs';
    assertCount(mode, { subject, verb: 'enqueued', found, times: 0, since }, assertNoEnqueued);
  });
}

/**
 * Fails unless exactly so many jobs are enqueued.
 *
 *     assertEnqueuedJobs(2)
 *     await assertEnqueuedJobs(1, () => signUp({ email }), { only: WelcomeEmailJob })
 *
 * @param during only what this enqueues is counted; then a promise is returned.
 * @throws AssertionError that lists what is enqueued.
 */
export function assertEnqueuedJobs(count: number, during?: undefined, filter?: JobFilter): void;
export function assertEnqueuedJobs(count: number, during: During, filter?: JobFilter): Promise<void>;
export function assertEnqueuedJobs(count: number, during?: During, filter: JobFilter = {}) {
  const mode = connectedMode('assertEnqueuedJobs');
  const matches = matchesFilter(filter);
  return check(mode, during, (since) => {
    const found = mode.ledger.in(['enqueued'], since).filter(matches);
    const subject = describeFilter(filter);
    assertCount(mode, { subject, verb: 'enqueued', found, times: count, since }, assertEnqueuedJobs);
  });
}
