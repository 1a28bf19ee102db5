import { processorsOf, reported, type TreeStatus, type WorkInFlight } from '../../cluster/status';
import { unresponsiveMs } from '../../health/issues';
import type { Suspect } from '../../health/probes';
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

/**
 * What the processes of a tree do now, as their last heartbeats reported it, and what has blocked them since.
 * @param suspects the jobs that may have blocked the job processor.
 */
export function workRows({ stats }: TreeStatus, suspects: readonly Suspect[], format: Formatter): WorkRow[] {
  const { t } = format;
  const rows = (where: string, work: readonly WorkInFlight[] = []) =>
    work.map(({ what, job, id, ageMs }) => ({
      what: format.work({ what, job }),
      where,
      id: t(job ? 'work.jobId' : 'work.requestId', { id }),
      href: job ? jobPath({ id, queue: job.queue }) : null,
      age: format.span(ageMs),
    }));
  const silentMs = unresponsiveMs(stats.jobProcessor) ?? 0;
  const suspected = suspects.map(({ class: name, queue, id }) => ({
    what: name,
    job: { class: name, queue },
    id,
    ageMs: silentMs,
  }));
  return [
    ...stats.workerStatus.flatMap(({ index, lastStatus, begun }) =>
      rows(t('overview.name.worker', { slot: index }), withNew(reported(lastStatus)?.inFlight, begun ? [begun] : [])),
    ),
    ...processorsOf(stats).flatMap((processor) => {
      const since = processor === stats.jobProcessor && silentMs > 0 ? suspected : [];
      return rows(
        t('overview.name.jobs'),
        processor.pid === null ? [] : withNew(reported(processor.lastStatus)?.inFlight, since),
      );
    }),
  ];
}

function withNew(known: readonly WorkInFlight[] = [], begun: readonly WorkInFlight[]): readonly WorkInFlight[] {
  return [...known, ...begun.filter(({ id }) => known.every((one) => one.id !== id))];
}
