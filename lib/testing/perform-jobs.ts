import { catchUp, enqueueTick, USUAL_LIMITS } from '../job/cron/cron-service';
import { cronEntries } from '../job/cron/schedule';
import type { EnqueuedJob, JobClass } from '../job/definition/job-class';
import { connectedMode, type JobMode, type PerformOptions } from './use-jobs';

/**
 * Performs what is enqueued and due, and what that enqueues, one after another, until nothing is left. It is performed
 * as in a job processor: arguments from their JSON, callbacks, middleware, retry rules.
 *
 *     await signUp({ email })
 *     await performEnqueuedJobs()
 *     await performEnqueuedJobs({ only: WelcomeEmailJob })
 *     await performEnqueuedJobs(() => signUp({ email }))            // only what this enqueues
 *     await travelTo(tomorrow, () => performEnqueuedJobs())         // delayed jobs are due then
 *
 * A run that fails and is to be retried runs again without a wait, behind the others, as often as its class allows;
 * `retries` says otherwise. With real jobs, a processor starts, works until nothing that is due is left, and stops;
 * waits and retries take their time.
 *
 * @param during runs first; what was enqueued before it is left alone.
 * @returns what `during` gave.
 * @throws the error of the first job that dies: the dead set would have it. What is left stays enqueued.
 */
export async function performEnqueuedJobs(options?: PerformOptions): Promise<void>;
export async function performEnqueuedJobs<T>(during: () => PromiseLike<T> | T, options?: PerformOptions): Promise<T>;
export async function performEnqueuedJobs<T>(
  given?: PerformOptions | (() => PromiseLike<T> | T),
  options: PerformOptions = {},
): Promise<T | undefined> {
  const mode = connectedMode('performEnqueuedJobs');
  if (typeof given !== 'function') {
    await mode.perform(given ?? {}, 0);
    return undefined;
  }
  const since = mode.ledger.mark;
  const result = await given();
  await mode.perform(options, since);
  return result;
}

export interface CronTimes {
  /** Earlier ticks count as dealt with. Default: the time of the last call for this schedule. */
  readonly since?: Date;
}

/** Until when the ticks of each schedule are dealt with, by its name. */
const settled = new WeakMap<JobMode, Map<string, Date>>();

/**
 * Enqueues what the `static cron` of these classes asks for by now, as a job processor would: what has come since the last
 * call, by their time zone and their policy of catching up, where a tick of more than a minute ago is a late one.
 *
 *     await enqueueCronJobs(ReportJob, { since: new Date('2030-01-01T02:00:00Z') })   // static cron = '0 3 * * *'
 *     travelTo('2030-01-01T03:00:00Z')
 *     await enqueueCronJobs(ReportJob)
 *     assertEnqueued(ReportJob, { times: 1 })
 *
 * The first call without `since` enqueues nothing: the schedule is new, and begins then.
 * @returns what came of each tick.
 * @throws UserError for a schedule that makes no sense; TypeError for classes that have none.
 */
export async function enqueueCronJobs(
  classes: JobClass | readonly JobClass[],
  { since }: CronTimes = {},
): Promise<EnqueuedJob[]> {
  const mode = connectedMode('enqueueCronJobs');
  const entries = cronEntries([classes].flat(), mode.equipment.codec);
  if (entries.length === 0) throw new TypeError('enqueueCronJobs: none of these classes has a static cron');
  const until = settled.get(mode) ?? new Map<string, Date>();
  settled.set(mode, until);
  const now = new Date();
  const jobs: EnqueuedJob[] = [];
  for (const entry of entries) {
    const from = since ?? until.get(entry.name) ?? now;
    until.set(entry.name, now);
    const { ticks } = catchUp(entry.schedule, from, now, { policy: entry.policy, ...USUAL_LIMITS });
    for (const tick of ticks) jobs.push(await enqueueTick(entry, tick));
  }
  return jobs;
}
