import { type ProcessorStats, processorsOf, told, type WorkerStats } from '../../cluster/stats';
import type { SlotPicture, TreePicture } from '../../cluster/tree-picture';
import { shortTime } from '../../support/short-time';
import { table } from '../../support/text-table';
import { count, megabytes, percent, rate, time, UNKNOWN } from './figures';
import { type Line, line, type Tone, type View } from './view';

const HEADING = ['  process', 'pid', 'state', 'busy', 'wait', 'req/s', 'lag', 'cpu', 'memory', 'restarts'];

interface Row {
  readonly cells: readonly string[];
  readonly tone: Tone;
}

/** Workers that can be chosen, in order: each once, the newest of its slot. */
export function chosenFrom({ stats }: TreePicture): readonly WorkerStats[] {
  return stats.worker_status.filter(
    (worker, i) => stats.worker_status.findIndex(({ index }) => index === worker.index) === i,
  );
}

/** A line for each process, at most `most`: those around the chosen one. */
export function processes(view: View, columns: number, most: number, now: number): Line[] {
  const { picture } = view;
  if (!picture) return [];
  const chosen = chosenFrom(picture)[view.selected];
  const workers = picture.stats.worker_status.map((worker) => workerRow(view, worker, picture, worker === chosen, now));
  const others = [...processorRows(view, picture, now), primaryRow(view, picture)];
  const at = chosen ? picture.stats.worker_status.indexOf(chosen) : 0;
  const { shown, hidden } = around(workers, at, most - others.length - 1);
  const rows = [...shown, ...others];
  const [heading = '', ...texts] = table([HEADING, ...rows.map((row) => row.cells)], columns);
  const lines = texts.map((text, i) => line(text, rows[i]?.tone));
  return [line(heading, 'faint'), ...lines, ...(hidden > 0 ? [line(`  … ${hidden} more workers`, 'faint')] : [])];
}

/** As many rows as there is room for, with the one at `index` among them. */
function around(rows: readonly Row[], index: number, room: number): { shown: readonly Row[]; hidden: number } {
  if (rows.length <= room) return { shown: rows, hidden: 0 };
  // One line tells of the others.
  const shown = Math.max(1, room - 1);
  const from = Math.max(0, Math.min(index - Math.floor(shown / 2), rows.length - shown));
  return { shown: rows.slice(from, from + shown), hidden: rows.length - shown };
}

function workerRow(view: View, worker: WorkerStats, picture: TreePicture, chosen: boolean, now: number): Row {
  const { index, pid, last_status, pss_mb, restarts } = worker;
  const status = told(last_status);
  const rates = view.rates.byPid.get(pid);
  const state = workerState(
    worker,
    picture.slots.find((slot) => slot.index === index),
    now,
  );
  const cells = [
    `${chosen ? '›' : ' '} web ${index}`,
    String(pid),
    state,
    status ? `${status.busy_threads}/${status.max_threads}` : UNKNOWN,
    count(status?.backlog),
    rate(rates?.requestsPerS),
    time(status?.lagP99Ms),
    percent(rates?.cpu),
    megabytes(pss_mb ?? status?.rssMb),
    restartsText(restarts),
  ];
  const trouble = worker.state !== 'ready' || (status?.backlog ?? 0) > 0;
  return { cells, tone: chosen ? 'selected' : trouble ? 'warn' : 'plain' };
}

/** `3`, or `3 (1 crash)`: who deployed knows of the others. */
function restartsText(restarts: WorkerStats['restarts']): string {
  const entries = Object.entries(restarts);
  const total = entries.reduce((sum, [, times]) => sum + times, 0);
  const bad = entries.filter(([reason]) => reason !== 'phase' && reason !== 'asked');
  return bad.length === 0
    ? String(total)
    : `${total} (${bad.map(([reason, times]) => `${times} ${reason}`).join(', ')})`;
}

function workerState({ state, pid }: WorkerStats, slot: SlotPicture | undefined, now: number): string {
  if (slot?.outgoing === pid && state === 'ready') return 'outgoing';
  if (state === 'draining' && slot?.drainUntil) return `drains ${left(slot.drainUntil, now)}`;
  return state;
}

function processorRows(view: View, picture: TreePicture, now: number): Row[] {
  const { stats, limits } = picture;
  if (stats.job_processor.state === 'off' && limits.jobConcurrency === 0) return [];
  return processorsOf(stats).map((jobs) => processorRow(view, jobs, picture, now));
}

function processorRow(
  { rates }: View,
  jobs: ProcessorStats,
  { stats, limits, processor }: TreePicture,
  now: number,
): Row {
  const nextTry = jobs === stats.job_processor ? processor.nextTry?.at : undefined;
  const status = told(jobs.last_status);
  const cells = [
    '  jobs',
    jobs.pid === null ? UNKNOWN : String(jobs.pid),
    processorState(jobs, nextTry, now),
    status ? `${status.in_flight.length}/${limits.jobConcurrency}` : UNKNOWN,
    '',
    '',
    time(status?.lagP99Ms),
    percent(rates.byPid.get(jobs.pid ?? 0)?.cpu),
    megabytes(jobs.pss_mb ?? status?.rssMb),
    String(jobs.restarts),
  ];
  return { cells, tone: jobs.state === 'ready' ? 'plain' : jobs.state === 'circuit open' ? 'bad' : 'warn' };
}

function processorState({ state }: ProcessorStats, nextTry: string | undefined, now: number): string {
  if (nextTry === undefined) return state;
  return `${state} ${left(nextTry, now)}`;
}

/** How long until then. */
function left(until: string, now: number): string {
  return shortTime(Math.max(0, Date.parse(until) - now));
}

function primaryRow({ rates }: View, { stats, vitals, stopping }: TreePicture): Row {
  const { single } = stats;
  const own = rates.byPid.get(stats.pid);
  const cells = [
    '  primary',
    String(stats.pid),
    stopping ? 'stopping' : 'ready',
    single ? `${single.busy_threads}/${single.max_threads}` : '',
    single ? count(single.backlog) : '',
    single ? rate(own?.requestsPerS) : '',
    time(vitals.lagP99Ms),
    percent(own?.cpu),
    megabytes(vitals.pssMb ?? vitals.rssMb),
    '',
  ];
  return { cells, tone: 'plain' };
}
