import {
  endingOf,
  type ProcessorStats,
  processorsOf,
  reported,
  type SlotStatus,
  type Termination,
  type TreeStatus,
  type WorkerStats,
  type WorkInFlight,
} from '../../cluster/status';
import { callerText, eventSentence } from '../../core/event-catalog';
import type { RecentEvent } from '../../core/notable-events';
import type { ListedQueue } from '../../job/admin/queues';
import { formatDuration } from '../../support/duration';
import { megabytes, percent, rate, UNKNOWN } from '../../support/figures';
import { table, wrap } from '../../support/text-table';
import { formatCount, formatTime, type Line, line, type Tone, type View } from './view';

const PROCESS_HEADING = ['  process', 'pid', 'state', 'busy', 'wait', 'req/s', 'lag', 'cpu', 'memory', 'restarts'];

interface Row {
  readonly cells: readonly string[];
  readonly tone: Tone;
}

/** @returns the workers that can be selected, in order: the newest one of each slot. */
export function chosenFrom({ stats }: TreeStatus): readonly WorkerStats[] {
  return stats.workerStatus.filter(
    (worker, i) => stats.workerStatus.findIndex(({ index }) => index === worker.index) === i,
  );
}

/** One line for each process, at most `most` lines. If there are more, those around the selected worker are shown. */
export function processes(view: View, columns: number, most: number, now: number): Line[] {
  const { treeStatus } = view;
  if (!treeStatus) return [];
  const chosen = chosenFrom(treeStatus)[view.selected];
  const workers = treeStatus.stats.workerStatus.map((worker) =>
    workerRow(view, worker, treeStatus, worker === chosen, now),
  );
  const others = [...processorRows(view, treeStatus, now), primaryRow(view, treeStatus)];
  const at = chosen ? treeStatus.stats.workerStatus.indexOf(chosen) : 0;
  const { shown, hidden } = around(workers, at, most - others.length - 1);
  const rows = [...shown, ...others];
  const [heading = '', ...texts] = table([PROCESS_HEADING, ...rows.map((row) => row.cells)], columns);
  const lines = texts.map((text, i) => line(text, rows[i]?.tone));
  return [line(heading, 'faint'), ...lines, ...(hidden > 0 ? [line(`  … ${hidden} more workers`, 'faint')] : [])];
}

/** @returns the rows that fit, including the one at `index`. */
function around(rows: readonly Row[], index: number, room: number): { shown: readonly Row[]; hidden: number } {
  if (rows.length <= room) return { shown: rows, hidden: 0 };
  // One line is needed for the number of hidden rows.
  const shown = Math.max(1, room - 1);
  const from = Math.max(0, Math.min(index - Math.floor(shown / 2), rows.length - shown));
  return { shown: rows.slice(from, from + shown), hidden: rows.length - shown };
}

function workerRow(view: View, worker: WorkerStats, treeStatus: TreeStatus, chosen: boolean, now: number): Row {
  const { index, pid, lastStatus, pssMb, restarts } = worker;
  const status = reported(lastStatus);
  const rates = view.rates.byPid.get(pid);
  const state = workerState(
    worker,
    treeStatus.slots.find((slot) => slot.index === index),
    now,
  );
  const cells = [
    `${chosen ? '›' : ' '} web ${index}`,
    String(pid),
    state,
    status ? `${status.busyThreads}/${status.maxThreads}` : UNKNOWN,
    formatCount(status?.backlog),
    rate(rates?.requestsPerS),
    formatTime(status?.lagP99Ms),
    percent(rates?.cpu),
    megabytes(pssMb ?? status?.rssMb),
    restartsText(restarts),
  ];
  const trouble = worker.state !== 'ready' || (status?.backlog ?? 0) > 0;
  return { cells, tone: chosen ? 'selected' : trouble ? 'warn' : 'plain' };
}

/** Example: `3 (1 crash)`. Restarts by a deploy or on request are expected, so only the others are named. */
function restartsText(restarts: WorkerStats['restarts']): string {
  const entries = Object.entries(restarts);
  const total = entries.reduce((sum, [, times]) => sum + times, 0);
  const bad = entries.filter(([reason]) => reason !== 'phase' && reason !== 'asked');
  return bad.length === 0
    ? String(total)
    : `${total} (${bad.map(([reason, times]) => `${times} ${reason}`).join(', ')})`;
}

function workerState({ state, pid }: WorkerStats, slot: SlotStatus | undefined, now: number): string {
  if (slot?.outgoing === pid && state === 'ready') return 'outgoing';
  if (state === 'draining' && slot?.drainUntil) return `drains ${left(slot.drainUntil, now)}`;
  return state;
}

function processorRows(view: View, treeStatus: TreeStatus, now: number): Row[] {
  const { stats, limits } = treeStatus;
  if (stats.jobProcessor.state === 'disabled' && limits.jobConcurrency === 0) return [];
  return processorsOf(stats).map((jobs) => processorRow(view, jobs, treeStatus, now));
}

function processorRow(
  { rates }: View,
  jobs: ProcessorStats,
  { stats, limits, processor }: TreeStatus,
  now: number,
): Row {
  const restartsAt = jobs === stats.jobProcessor ? processor.nextRestart?.at : undefined;
  const status = reported(jobs.lastStatus);
  const cells = [
    '  jobs',
    jobs.pid === null ? UNKNOWN : String(jobs.pid),
    processorState(jobs, restartsAt, now),
    status ? `${status.inFlight.length}/${limits.jobConcurrency}` : UNKNOWN,
    '',
    '',
    formatTime(status?.lagP99Ms),
    percent(rates.byPid.get(jobs.pid ?? 0)?.cpu),
    megabytes(jobs.pssMb ?? status?.rssMb),
    String(jobs.restarts),
  ];
  return { cells, tone: jobs.state === 'ready' ? 'plain' : jobs.state === 'crash_loop' ? 'bad' : 'warn' };
}

function processorState({ state }: ProcessorStats, restartsAt: string | undefined, now: number): string {
  if (restartsAt === undefined) return state;
  return `${state} ${left(restartsAt, now)}`;
}

/** The time that remains until then. */
function left(until: string, now: number): string {
  return formatDuration(Math.max(0, Date.parse(until) - now));
}

function primaryRow({ rates }: View, { stats, processMetrics, stopping }: TreeStatus): Row {
  const { single } = stats;
  const own = rates.byPid.get(stats.pid);
  const cells = [
    '  primary',
    String(stats.pid),
    stopping ? 'stopping' : 'ready',
    single ? `${single.busyThreads}/${single.maxThreads}` : '',
    single ? formatCount(single.backlog) : '',
    single ? rate(own?.requestsPerS) : '',
    formatTime(processMetrics.lagP99Ms),
    percent(own?.cpu),
    megabytes(processMetrics.pssMb ?? processMetrics.rssMb),
    '',
  ];
  return { cells, tone: 'plain' };
}

const QUEUE_HEADING = ['  queue', 'waiting', 'running', 'blocked', 'latency', 'state'];

/**
 * Lines of queues, then the sizes of the job sets, `most` lines in all. If not all queues fit, the slowest are shown.
 */
export function queues({ stores, treeStatus }: View, columns: number, most: number): Line[] {
  const { queues: listed, retry, scheduled, dead, trouble } = stores;
  if (!listed) {
    const tone = trouble === undefined ? 'faint' : 'warn';
    return wrap(`Queues: ${trouble ?? 'asking …'}`, columns)
      .slice(0, most)
      .map((text) => line(text, tone));
  }
  const slowMs = treeStatus?.limits.latencyWarningMs || Number.POSITIVE_INFINITY;
  const sets = [`Retry ${formatCount(retry)}`, `scheduled ${formatCount(scheduled)}`, `dead ${formatCount(dead)}`];
  const room = most - 2;
  const worst =
    listed.length <= room ? listed : listed.toSorted((a, b) => b.latencyMs - a.latencyMs).slice(0, room - 1);
  const [heading = '', ...rows] = table([QUEUE_HEADING, ...worst.map(row)], columns);
  const hidden = listed.length - worst.length;
  return [
    line(heading, 'faint'),
    ...rows.map((text, i) => line(text, isSlow(worst[i], slowMs) ? 'warn' : 'plain')),
    ...(hidden > 0 ? [line(`  … ${hidden} more queues`, 'faint')] : []),
    line(sets.join(', ')),
  ];
}

function isSlow(queue: ListedQueue | undefined, slowMs: number): boolean {
  return queue !== undefined && (queue.latencyMs > slowMs || queue.paused !== undefined);
}

function row({ name, waiting, active, blocked, latencyMs, paused }: ListedQueue): string[] {
  return [
    `  ${name}`,
    formatCount(waiting),
    formatCount(active),
    formatCount(blocked),
    formatDuration(latencyMs),
    paused ? `paused by ${callerText(paused.by)}` : 'open',
  ];
}

/** Work in flight in the selected worker and in the job processor, the longest-running first. */
export function inFlight({ treeStatus, selected }: View, most: number): Line[] {
  if (!treeStatus) return [];
  const { single } = treeStatus.stats;
  const chosen = chosenFrom(treeStatus)[selected];
  const web = chosen ? reported(chosen.lastStatus) : single;
  const lines = [
    ...works(chosen ? `web ${chosen.index}` : 'primary', web?.inFlight ?? []),
    ...works(
      'jobs',
      processorsOf(treeStatus.stats).flatMap(({ lastStatus }) => reported(lastStatus)?.inFlight ?? []),
    ),
  ];
  return lines.length === 0 ? [] : [line('  in flight', 'faint'), ...lines.slice(0, most - 1)];
}

function works(where: string, list: readonly WorkInFlight[]): Line[] {
  return list
    .toSorted((a, b) => b.ageMs - a.ageMs)
    .map(({ what, ageMs }) => line(`  ${where.padEnd(8)} ${formatTime(ageMs).padStart(8)}  ${what}`));
}

/** Exit messages of processes that have died and not been restarted yet, then the recent events, newest first. */
export function events({ treeStatus }: View, most: number): Line[] {
  if (!treeStatus) return [];
  const dead = [
    ...treeStatus.slots.map(({ index, lastTermination, nextRestart }) => ({
      who: `worker ${index}`,
      lastTermination,
      nextRestart,
    })),
    { who: 'the job processor', ...treeStatus.processor },
  ];
  const lines = [
    ...dead.flatMap(({ who, lastTermination, nextRestart }) =>
      lastTermination && nextRestart ? [exitMessage(who, lastTermination, nextRestart.attempt)] : [],
    ),
    ...treeStatus.events.map((event) => line(`  ${clock(event.at)}  ${sentence(event)}`)),
  ];
  return lines.length === 0 || most < 2 ? [] : [line('  events', 'faint'), ...lines.slice(0, most - 1)];
}

function exitMessage(who: string, termination: Termination, attempt: number): Line {
  const { at, message, activity } = termination;
  const what = activity === null ? '' : `, doing ${activity.what}`;
  return line(
    `! ${clock(at)}  ${who} died${what} (try ${attempt} is next): ${message ?? endingOf(termination)}`,
    'bad',
  );
}

function clock(at: string): string {
  return new Date(at).toTimeString().slice(0, 8);
}

function sentence({ name, about }: RecentEvent): string {
  return eventSentence(name, about) ?? name;
}
