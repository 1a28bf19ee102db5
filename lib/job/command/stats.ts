import { countOf, countText } from '../../support/count-text';
import { shortTime } from '../../support/short-time';
import { table } from '../../support/text-table';
import type { HistoryRow } from '../history/history-row';
import type { ListedProcess } from '../pulse/process-list';
import type { ListedQueue } from '../queue/queues';
import { type Answer, BOTH, type JobCommand } from './command';
import type { Desk } from './desk';
import { shortMoment } from './time-text';

const UNKNOWN = '–';

export const STATS: JobCommand = {
  name: 'stats',
  operands: [],
  options: [],
  needs: BOTH,
  help: 'what is done, failed, busy and due, and every queue with its length and latency',
  prepare: () => stats,
};

interface Tally {
  readonly total: HistoryRow;
  readonly today: HistoryRow | undefined;
}

async function stats(desk: Desk): Promise<Answer> {
  const sets = await desk.sets();
  const [sizes, queues, processes, totals, [today]] = await Promise.all([
    sets.sizes(),
    desk.queues.list(await desk.queueNames()),
    desk.processes.list(),
    desk.history.totals(),
    desk.history.days(1),
  ]);
  const tally = { total: totals.all, today: today?.all };
  const busy = processes.reduce((sum, one) => sum + one.busyCount, 0);
  const lines = [
    `Done       ${both(tally, 'processed')}`,
    `Failed     ${both(tally, 'failed')}`,
    `Busy       ${busyText(processes, busy)}`,
    `Retry      ${countText(sizes.retry)}`,
    `Scheduled  ${countText(sizes.scheduled)}`,
    `Dead       ${countText(sizes.dead)}`,
    '',
    ...table([HEADING, ...queues.map(queueRow)], desk.terminal.columns),
  ];
  return {
    json: {
      ...sizes,
      busy,
      processes: processes.length,
      total: counts(tally.total),
      today: tally.today ? counts(tally.today) : null,
      queues: queues.map(queueJson),
    },
    text: `${lines.join('\n')}\n`,
  };
}

function busyText(processes: readonly ListedProcess[], busy: number): string {
  if (processes.length === 0) return '0: no job processor is alive';
  const capacity = processes.reduce((sum, one) => sum + one.concurrency, 0);
  return `${countText(busy)} of ${countText(capacity)}, in ${countOf(processes.length, 'job processor')}`;
}

const HEADING = ['queue', 'waiting', 'running', 'held', 'in outbox', 'latency', 'state'];

function queueRow(queue: ListedQueue): string[] {
  const { paused } = queue;
  return [
    queue.name,
    countText(queue.waiting),
    countText(queue.active),
    countText(queue.held),
    queue.inOutbox === undefined ? UNKNOWN : countText(queue.inOutbox),
    shortTime(queue.latencyMs),
    paused ? `paused ${shortMoment(paused.since.toISOString())} by ${paused.by}` : 'open',
  ];
}

function queueJson(queue: ListedQueue): object {
  const { name, waiting, active, held, delayed, dead, latencyMs, paused, inOutbox } = queue;
  return {
    name,
    waiting,
    active,
    held,
    delayed,
    dead,
    in_outbox: inOutbox ?? null,
    latency_ms: latencyMs,
    paused: paused ? { since: paused.since.toISOString(), by: paused.by } : null,
  };
}

/** Of runs, in all and today. */
function both({ total, today }: Tally, what: 'processed' | 'failed'): string {
  const sinceMidnight = today && total[what] > 0 ? `, ${countText(today[what])} of them today (UTC)` : '';
  return `${countText(total[what])}${sinceMidnight}`;
}

function counts({ processed, failed, retried, dead, discarded }: HistoryRow): object {
  return { processed, failed, retried, dead, discarded };
}
