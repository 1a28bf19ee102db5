import { catchUp, USUAL_LIMITS } from '../job/cron/catch-up';
import { cronEntries } from '../job/cron/cron-entries';
import { enqueueTick } from '../job/cron/enqueue-tick';
import type { EnqueuedJob } from '../job/enqueue/request';
import type { JobClass } from '../job/job-class';
import { connectedMode } from './connected-mode';
import type { TestMode } from './mode';

export interface CronTimes {
  /** Earlier ticks count as dealt with. Default: the time of the last call for this schedule. */
  readonly since?: Date;
}

/** Until when the ticks of each schedule are dealt with, by its name. */
const settled = new WeakMap<TestMode, Map<string, Date>>();

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
