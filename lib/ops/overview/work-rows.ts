import { processorsOf, reported, type TreeStatus, type WorkInFlight } from '../../cluster/status';
import { type Formatter, jobPath } from '../ui/format';

export interface WorkRow {
  readonly what: string;
  /** Name of its process. */
  readonly where: string;
  /** For example `Request a5ec…`. */
  readonly id: string;
  /** Path of the job's page; null for a request. */
  readonly href: string | null;
  readonly age: string;
}

/** What the processes of a tree do now, as their last heartbeats reported it. */
export function workRows({ stats }: TreeStatus, format: Formatter): WorkRow[] {
  const { t } = format;
  const rows = (where: string, work: readonly WorkInFlight[] = []) =>
    work.map(({ what, job, id, ageMs }) => ({
      what: format.work({ what, job }),
      where,
      id: t(job ? 'work.jobId' : 'work.requestId', { id }),
      href: job ? jobPath({ id, queue: job.queue }) : null,
      age: format.span(ageMs),
    }));
  return [
    ...stats.workerStatus.flatMap(({ index, lastStatus }) =>
      rows(t('overview.name.worker', { slot: index }), reported(lastStatus)?.inFlight),
    ),
    ...processorsOf(stats).flatMap(({ pid, lastStatus }) =>
      rows(t('overview.name.jobs'), pid === null ? [] : reported(lastStatus)?.inFlight),
    ),
  ];
}
