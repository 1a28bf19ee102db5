import {
  type ProcessorStats,
  processorsOf,
  reported,
  type SlotStatus,
  type TreeStatus,
  type WorkerStats,
} from '../../cluster/status';
import { callerText } from '../../core/event-catalog';
import type { QueueStatus } from '../../job/row/queue-status';
import { formatDuration } from '../../support/duration';
import { megabytes, percent, rate, UNKNOWN } from '../../support/figures';
import { table, wrap } from '../../support/text-table';
import { formatCount, formatTime, type Line, line, type Tone, type View } from './view';

const PROCESS_HEADING = ['  process', 'pid', 'state', 'busy', 'wait', 'req/s', 'lag', 'cpu', 'memory', 'restarts'];

interface Row {
  readonly cells: readonly string[];
  readonly tone: Tone;
}

/** One line for each process, at most `most` lines. If not all workers fit, those with a problem are shown first. */
export function processTable(view: View, columns: number, most: number, now: number): Line[] {
  const { treeStatus } = view;
  const workers = treeStatus.stats.workerStatus.map((worker) => workerRow(view, worker, now));
  const others = [...processorRows(view, now), primaryRow(view)];
  const room = most - others.length - 1;
  const shown = workers.length <= room ? workers : workers.toSorted(byTrouble).slice(0, Math.max(1, room - 1));
  const rows = [...shown, ...others];
  const [heading = '', ...texts] = table([PROCESS_HEADING, ...rows.map((row) => row.cells)], columns);
  const hidden = workers.length - shown.length;
  return [
    line(heading, 'faint'),
    ...texts.map((text, i) => line(text, rows[i]?.tone)),
    ...(hidden > 0 ? [line(`  … ${hidden} more workers`, 'faint')] : []),
  ];
}

function byTrouble(one: Row, other: Row): number {
  return Number(other.tone !== 'plain') - Number(one.tone !== 'plain');
}

function workerRow({ rates: { byPid }, treeStatus }: View, worker: WorkerStats, now: number): Row {
  const { index, pid, lastStatus, pssMb, restarts } = worker;
  const status = reported(lastStatus);
  const rates = byPid.get(pid);
  const slot = treeStatus.slots.find((each) => each.index === index);
  const cells = [
    `  web ${index}`,
    String(pid),
    workerState(worker, slot, now),
    status ? `${status.busyThreads}/${status.maxThreads}` : UNKNOWN,
    formatCount(status?.backlog),
    rate(rates?.requestsPerS),
    formatTime(status?.lagP99Ms),
    percent(rates?.cpu),
    megabytes(pssMb ?? status?.rssMb),
    restartsText(restarts),
  ];
  return { cells, tone: worker.state !== 'ready' || (status?.backlog ?? 0) > 0 ? 'warn' : 'plain' };
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
  if (state === 'draining' && slot?.drainUntil) return `drains ${timeUntil(slot.drainUntil, now)}`;
  return state;
}

function processorRows({ rates, treeStatus }: View, now: number): Row[] {
  const { stats, limits } = treeStatus;
  if (stats.jobProcessor.state === 'disabled' && limits.jobConcurrency === 0) return [];
  return processorsOf(stats).map((jobs) => {
    const status = reported(jobs.lastStatus);
    const cells = [
      '  jobs',
      jobs.pid === null ? UNKNOWN : String(jobs.pid),
      processorState(jobs, treeStatus, now),
      status ? `${status.inFlight.length}/${limits.jobConcurrency}` : UNKNOWN,
      '',
      '',
      formatTime(status?.lagP99Ms),
      percent(rates.byPid.get(jobs.pid ?? 0)?.cpu),
      megabytes(jobs.pssMb ?? status?.rssMb),
      String(jobs.restarts),
    ];
    return { cells, tone: jobs.state === 'ready' ? 'plain' : jobs.state === 'crash_loop' ? 'bad' : 'warn' };
  });
}

function processorState(jobs: ProcessorStats, { stats, processor }: TreeStatus, now: number): string {
  const restartsAt = jobs === stats.jobProcessor ? processor.nextRestart?.at : undefined;
  return restartsAt === undefined ? jobs.state : `${jobs.state} ${timeUntil(restartsAt, now)}`;
}

function timeUntil(then: string, now: number): string {
  return formatDuration(Math.max(0, Date.parse(then) - now));
}

function primaryRow({ rates, treeStatus: { stats, processMetrics, stopping } }: View): Row {
  const { single } = stats;
  const ownRates = rates.byPid.get(stats.pid);
  const cells = [
    '  primary',
    String(stats.pid),
    stopping ? 'stopping' : 'ready',
    single ? `${single.busyThreads}/${single.maxThreads}` : '',
    single ? formatCount(single.backlog) : '',
    single ? rate(ownRates?.requestsPerS) : '',
    formatTime(processMetrics.lagP99Ms),
    percent(ownRates?.cpu),
    megabytes(processMetrics.pssMb ?? processMetrics.rssMb),
    '',
  ];
  return { cells, tone: 'plain' };
}

const QUEUE_HEADING = ['  queue', 'waiting', 'running', 'blocked', 'latency', 'state'];

/**
 * Lines of queues, then the sizes of the job sets, `most` lines in all. If not all queues fit, the slowest are shown.
 */
export function queueTable({ stores, treeStatus }: View, columns: number, most: number): Line[] {
  const { queues, retry, scheduled, dead, trouble } = stores;
  if (!queues) {
    const tone = trouble === undefined ? 'faint' : 'warn';
    return wrap(`Queues: ${trouble ?? 'asking …'}`, columns)
      .slice(0, most)
      .map((text) => line(text, tone));
  }
  const slowMs = treeStatus.limits.latencyWarningMs || Number.POSITIVE_INFINITY;
  const sets = [`Retry ${formatCount(retry)}`, `scheduled ${formatCount(scheduled)}`, `dead ${formatCount(dead)}`];
  const room = most - 2;
  const shown =
    queues.length <= room ? queues : queues.toSorted((a, b) => b.latencyMs - a.latencyMs).slice(0, room - 1);
  const [heading = '', ...rows] = table([QUEUE_HEADING, ...shown.map(queueCells)], columns);
  const hidden = queues.length - shown.length;
  return [
    line(heading, 'faint'),
    ...rows.map((text, i) => line(text, needsAttention(shown[i], slowMs) ? 'warn' : 'plain')),
    ...(hidden > 0 ? [line(`  … ${hidden} more queues`, 'faint')] : []),
    line(sets.join(', ')),
  ];
}

function needsAttention(queue: QueueStatus | undefined, slowMs: number): boolean {
  return queue !== undefined && (queue.latencyMs > slowMs || queue.paused !== undefined);
}

function queueCells({ name, waiting, active, blocked, latencyMs, paused }: QueueStatus): string[] {
  return [
    `  ${name}`,
    formatCount(waiting),
    formatCount(active),
    formatCount(blocked),
    formatDuration(latencyMs),
    paused ? `paused by ${callerText(paused.by)}` : 'open',
  ];
}
