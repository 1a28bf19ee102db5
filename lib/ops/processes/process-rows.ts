import { processorsOf, type WorkInFlight } from '../../cluster/stats';
import type { TreePicture } from '../../cluster/tree-picture';
import { jobPath } from '../jobs/job-path';
import { type CardView, cardView, known } from '../overview/node-view';
import type { SeenTree } from '../overview/seen-tree';
import type { Words } from '../overview/words';
import { workWords } from '../page/doings';

/** A process of the tree, as a row. */
export interface ProcessRow {
  readonly card: CardView;
  readonly slot: number | null;
  readonly pid: number | null;
  readonly up: string;
  readonly generation: number | null;
  /** So far; null for what serves no requests. */
  readonly requests: number | null;
  /** `1 crash, 2 phase`, or `0`. */
  readonly restarts: string;
  readonly work: readonly WorkRow[];
}

/** A request or a job in hand. */
export interface WorkRow {
  readonly what: string;
  /** `Request a5ec…` */
  readonly id: string;
  /** The page of a job; null for a request. */
  readonly href: string | null;
  readonly age: string;
}

/** @param words of the reader. */
export function processRows({ picture, nodes }: SeenTree, words: Words): ProcessRow[] {
  const then = words.at(picture.at);
  return nodes.map((node) => {
    const row = { card: cardView(node), slot: null, generation: null, requests: null, restarts: '0', work: [] };
    if (node.kind === 'primary') return { ...row, pid: picture.stats.pid, up: then.up(picture.stats.started_at) };
    if (node.kind === 'jobs') return jobsRow(row, picture, then);
    return workerRow(row, node.id, picture, then);
  });
}

type Row = Omit<ProcessRow, 'pid' | 'up'>;

function jobsRow(row: Row, { stats }: TreePicture, words: Words): ProcessRow {
  const { pid, started_at, restarts } = stats.job_processor;
  const inHand = processorsOf(stats).flatMap((one) =>
    one.pid === null ? [] : (known(one.last_status)?.in_flight ?? []),
  );
  const work = workRows(inHand, words, false);
  return { ...row, pid, up: words.up(pid === null ? null : started_at), restarts: String(restarts), work };
}

function workerRow(row: Row, id: string, { stats }: TreePicture, words: Words): ProcessRow {
  if (stats.single && id === 'web') {
    const { requests_count: requests, in_flight } = stats.single;
    return { ...row, pid: stats.pid, up: words.up(stats.started_at), requests, work: workRows(in_flight, words, true) };
  }
  const slot = Number(id.slice('worker-'.length));
  const here = stats.worker_status.filter(({ index }) => index === slot);
  const shown = here.find(({ state }) => state === 'ready') ?? here[0];
  const status = shown && known(shown.last_status);
  const reasons = Object.entries(shown?.restarts ?? {}).map(([reason, count]) => {
    return words.t('processes.restarts', { n: count, why: words.t(`overview.event.why.${reason}`) });
  });
  return {
    ...row,
    slot,
    pid: shown?.pid ?? null,
    up: words.up(shown?.started_at ?? null),
    generation: shown?.phase ?? null,
    requests: status?.requests_count ?? null,
    restarts: reasons.join(', ') || '0',
    work: here.flatMap((one) => workRows(known(one.last_status)?.in_flight ?? [], words, true)),
  };
}

/** @param http paths may name people, which is none of a viewer's business. */
function workRows(work: readonly WorkInFlight[], words: Words, http: boolean): WorkRow[] {
  return work.map(({ what, id, ageMs }) => ({
    what: http && words.veiled ? (what.split(' ')[0] ?? '') : workWords(what, words.t),
    id: words.t(http ? 'work.requestId' : 'work.jobId', { id }),
    href: http ? null : jobPath({ id, queue: what.replace(/^.* on /s, '') }),
    age: words.time.span(ageMs),
  }));
}
