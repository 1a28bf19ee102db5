import { catchUp, enqueueTick, USUAL_LIMITS } from '../job/cron/cron-service';
import { cronEntries } from '../job/cron/schedule';
import type { EnqueuedJob, JobClass } from '../job/definition/job-class';
import { connectedMode, type JobMode, type PerformOptions } from './use-jobs';

/**
 * Performs the enqueued jobs that are due, and those that they enqueue, one after another until none is left. They run
 * as in a job processor: with arguments from JSON, callbacks, middleware and retry rules.
 *
 *     await signUp({ email })
 *     await performEnqueuedJobs()
 *     await performEnqueuedJobs({ only: WelcomeEmailJob })
 *     await performEnqueuedJobs(() => signUp({ email }))            // only what this enqueues
 *     await travelTo(tomorrow, () => performEnqueuedJobs())         // delayed jobs are due then
 *
 * A failed job that would be retried runs again without waiting, after the others, as often as its class allows;
 * `retries` changes that. With real jobs, a processor starts, performs what is due, and stops. Waits and retries then
 * go through Redis.
 *
 * @throws the error of the first job that dies, which production would move to the dead set. Other jobs stay enqueued.
 */
export async function performEnqueuedJobs(options?: PerformOptions): Promise<void>;
/**
 * Performs only what one piece of code enqueues.
 * @param during runs first; only jobs that it enqueues are performed.
 * @returns the result of `during`.
 * @throws the error of the first job that dies, which production would move to the dead set. Other jobs stay enqueued.
 */
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
  const since = mode.jobLog.mark;
  const result = await given();
  await mode.perform(options, since);
  return result;
}

/** Option of `enqueueCronJobs`: the time from which it looks for ticks. */
export interface CronTimes {
  /** Ticks up to this time are skipped. Default: the time of the last call for this schedule. */
  readonly since?: Date;
}

/** The time up to which the ticks of each schedule have been handled, by the schedule's name. */
const settled = new WeakMap<JobMode, Map<string, Date>>();

/**
 * Enqueues the jobs that the `static cron` of these classes has scheduled since the last call, as a job processor does:
 * in their time zone, and following their catch-up policy for ticks that are more than a minute late.
 *
 *     await enqueueCronJobs(ReportJob, { since: new Date('2030-01-01T02:00:00Z') })   // static cron = '0 3 * * *'
 *     travelTo('2030-01-01T03:00:00Z')
 *     await enqueueCronJobs(ReportJob)
 *     assertEnqueued(ReportJob, { times: 1 })
 *
 * The first call without `since` enqueues nothing, since a new schedule begins at that moment.
 * @returns the enqueued job of each tick.
 * @throws UserError for an invalid schedule; TypeError if none of the classes has one.
 */
export async function enqueueCronJobs(
  classes: JobClass | readonly JobClass[],
  { since }: CronTimes = {},
): Promise<EnqueuedJob[]> {
  const mode = connectedMode('enqueueCronJobs');
  const entries = cronEntries([classes].flat(), mode.dependencies.codec);
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
