import { processorsOf, reported, type TreeStatus, type WorkInFlight } from '../../cluster/status';
import { replacementReason } from '../overview/event-lines';
import { type CardView, cardView } from '../overview/process-cards';
import type { TreeHealth } from '../overview/tree-health';
import { type Formatter, jobPath } from '../ui/format';

/** A process of the tree, as a row of the table. */
export interface ProcessRow {
  readonly card: CardView;
  readonly slot: number | null;
  readonly pid: number | null;
  readonly up: string;
  readonly generation: number | null;
  /** Requests served since its start; null for processes that serve none. */
  readonly requests: number | null;
  /** For example `1 crash, 2 phase`, or `0`. */
  readonly restarts: string;
  readonly work: readonly WorkRow[];
}

/** A request or a job in flight. */
export interface WorkRow {
  readonly what: string;
  /** For example `Request a5ec…`. */
  readonly id: string;
  /** Path of the job's page; null for a request. */
  readonly href: string | null;
  readonly age: string;
}

export function processRows({ treeStatus, nodes }: TreeHealth, format: Formatter): ProcessRow[] {
  const then = format.at(treeStatus.at);
  return nodes.map((node) => {
    const row = { card: cardView(node), slot: null, generation: null, requests: null, restarts: '0', work: [] };
    if (node.kind === 'primary') return { ...row, pid: treeStatus.stats.pid, up: then.up(treeStatus.stats.startedAt) };
    if (node.kind === 'jobs') return jobsRow(row, treeStatus, then);
    return workerRow(row, node.id, treeStatus, then);
  });
}

type Row = Omit<ProcessRow, 'pid' | 'up'>;

function jobsRow(row: Row, { stats }: TreeStatus, format: Formatter): ProcessRow {
  const { pid, startedAt, restarts } = stats.jobProcessor;
  const inHand = processorsOf(stats).flatMap((one) =>
    one.pid === null ? [] : (reported(one.lastStatus)?.inFlight ?? []),
  );
  const work = workRows(inHand, format, false);
  return { ...row, pid, up: format.up(pid === null ? null : startedAt), restarts: String(restarts), work };
}

function workerRow(row: Row, id: string, { stats }: TreeStatus, format: Formatter): ProcessRow {
  if (stats.single && id === 'web') {
    const { requestsCount: requests, inFlight } = stats.single;
    return { ...row, pid: stats.pid, up: format.up(stats.startedAt), requests, work: workRows(inFlight, format, true) };
  }
  const slot = Number(id.slice('worker-'.length));
  const here = stats.workerStatus.filter(({ index }) => index === slot);
  const shown = here.find(({ state }) => state === 'ready') ?? here[0];
  const status = shown && reported(shown.lastStatus);
  const reasons = Object.entries(shown?.restarts ?? {}).map(([reason, count]) => {
    return format.t('processes.restarts', { n: count, why: replacementReason(reason, format.t) });
  });
  return {
    ...row,
    slot,
    pid: shown?.pid ?? null,
    up: format.up(shown?.startedAt ?? null),
    generation: shown?.phase ?? null,
    requests: status?.requestsCount ?? null,
    restarts: reasons.join(', ') || '0',
    work: here.flatMap((one) => workRows(reported(one.lastStatus)?.inFlight ?? [], format, true)),
  };
}

function workRows(work: readonly WorkInFlight[], format: Formatter, http: boolean): WorkRow[] {
  return work.map(({ what, job, id, ageMs }) => ({
    what: format.work({ what, job }),
    id: format.t(http ? 'work.requestId' : 'work.jobId', { id }),
    href: job ? jobPath({ id, queue: job.queue }) : null,
    age: format.span(ageMs),
  }));
}
