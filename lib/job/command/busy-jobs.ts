import type { ListedProcess } from '../pulse/process-list';
import type { JobFilter } from '../set/filter';

/** A job that a processor has told it has in hand. */
export interface BusyJobShown {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  readonly set: 'busy';
  /** Of the run, from 1. */
  readonly attempt: number;
  readonly started_at: string;
  /** Host and pid. */
  readonly process: string;
}

/** Host and pid. */
export function processName({ host, pid }: Pick<ListedProcess, 'host' | 'pid'>): string {
  return `${host}:${pid}`;
}

/** The longest running first. A processor shows 50 at most. */
export function busyJobs(
  processes: readonly ListedProcess[],
  { queue, class: name }: Pick<JobFilter, 'queue' | 'class'>,
): BusyJobShown[] {
  const queues = queue === undefined ? undefined : [queue].flat();
  const jobs = processes.flatMap((process) => process.busy.map((job) => ({ job, process })));
  return jobs
    .filter(({ job }) => (queues?.includes(job.queue) ?? true) && (name === undefined || job.class === name))
    .sort((a, b) => a.job.startedAt - b.job.startedAt)
    .map(({ job, process }) => ({
      id: job.id,
      class: job.class,
      queue: job.queue,
      set: 'busy',
      attempt: job.attempt,
      started_at: new Date(job.startedAt).toISOString(),
      process: processName(process),
    }));
}
