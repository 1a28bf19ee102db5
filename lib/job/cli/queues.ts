import { callerText } from '../../core/event-catalog';
import { countText, pluralize } from '../../support/counted';
import { formatDuration } from '../../support/duration';
import { table } from '../../support/text-table';
import { queueJson } from '../admin/job-json';
import type { ListedProcess } from '../processes/process-list';
import type { QueueStatus } from '../row/queue-status';
import type { ClassSummary } from '../stats/history';
import { type Answer, type CommandContext, checkQueues, confirmed, type JobCommand } from './command';
import { shortMoment } from './list';

const QUEUE = [{ name: 'QUEUE' }] as const;

export const PAUSE: JobCommand = {
  name: 'pause',
  operands: QUEUE,
  options: [],
  help: 'start no more jobs of this queue, in any process; jobs can still be enqueued',
  prepare:
    ({ operands: [queue = ''] }) =>
    (context) =>
      pause(context, queue),
};

export const RESUME: JobCommand = {
  name: 'resume',
  operands: QUEUE,
  options: [],
  help: 'end the pause of this queue (without QUEUE: the job processor of the tree fetches again)',
  prepare:
    ({ operands: [queue = ''] }) =>
    async (context) => {
      await checkQueues(context, [queue]);
      const changed = await context.admin.queues.resume(queue);
      const text = changed ? `Resumed ${queue}.\n` : `${queue} is not paused.\n`;
      return { json: { queue, paused: false, changed }, text };
    },
};

export const CLEAR: JobCommand = {
  name: 'clear',
  operands: QUEUE,
  options: ['yes'],
  help: 'delete all jobs that wait in this queue; running, scheduled, failed and dead ones stay',
  prepare:
    ({ operands: [queue = ''], options }) =>
    (context) =>
      clear(context, queue, options.yes === true),
};

async function pause(context: CommandContext, queue: string): Promise<Answer> {
  const { queues } = context.admin;
  await checkQueues(context, [queue]);
  const changed = await queues.pause(queue);
  const [status] = await queues.list([queue]);
  const { since, by } = status?.paused ?? { since: new Date(), by: 'somebody' };
  const when = shortMoment(since.toISOString());
  return {
    json: { queue, paused: true, changed, since: since.toISOString(), by },
    text: changed
      ? `Paused ${queue}. To undo that: catamount jobs resume ${queue}\n`
      : `${queue} is paused already: ${when}, by ${callerText(by)}.\n`,
  };
}

async function clear(context: CommandContext, queue: string, yes: boolean): Promise<Answer> {
  const { queues } = context.admin;
  await checkQueues(context, [queue]);
  const [status] = await queues.list([queue]);
  const count = (status?.waiting ?? 0) + (status?.blocked ?? 0);
  if (count > 0) await confirmed(context, yes, `delete ${pluralize(count, 'job')} that wait in ${queue}`);
  const deleted = count === 0 ? 0 : await queues.clear(queue);
  return {
    json: { queue, deleted },
    text:
      count === 0 ? `Nothing waits in ${queue}.\n` : `Deleted ${pluralize(deleted, 'job')} that waited in ${queue}.\n`,
  };
}

export const STATS: JobCommand = {
  name: 'stats',
  operands: [],
  options: [],
  help: 'counts of jobs done, failed, busy and due, and every queue with its length and latency',
  prepare: () => stats,
};

const DAY_MS = 86_400_000;

async function stats({ admin, terminal }: CommandContext): Promise<Answer> {
  const [sizes, queues, processes, { all: total }, { all: today }] = await Promise.all([
    admin.sizes(),
    admin.queues.list(await admin.queueNames()),
    admin.knownProcesses(),
    admin.history.totals(),
    admin.history.last(Date.now() % DAY_MS),
  ]);
  const busy = queues.reduce((sum, { active }) => sum + active, 0);
  const lines = [
    `Done       ${withToday(total.processed, today.processed)}`,
    `Failed     ${withToday(total.failed, today.failed)}`,
    `Busy       ${processes ? busyText(processes, busy) : countText(busy)}`,
    `Retry      ${countText(sizes.retry)}`,
    `Scheduled  ${countText(sizes.scheduled)}`,
    `Dead       ${countText(sizes.dead)}`,
    '',
    ...queueTable(queues, terminal.columns),
  ];
  return {
    json: {
      ...sizes,
      busy,
      processes: processes?.length ?? null,
      total: counts(total),
      today: counts(today),
      queues: queues.map(queueJson),
    },
    text: `${lines.join('\n')}\n`,
  };
}

function busyText(processes: readonly ListedProcess[], busy: number): string {
  if (processes.length === 0) return '0: no job processor is alive';
  const capacity = processes.reduce((sum, one) => sum + one.concurrency, 0);
  return `${countText(busy)} of ${countText(capacity)}, in ${pluralize(processes.length, 'job processor')}`;
}

/** @param columns width of the terminal. Default: nothing is cut. */
export function queueTable(queues: readonly QueueStatus[], columns?: number): string[] {
  return table([['queue', 'waiting', 'running', 'blocked', 'latency', 'state'], ...queues.map(queueRow)], columns);
}

function queueRow(queue: QueueStatus): string[] {
  const { paused } = queue;
  return [
    queue.name,
    countText(queue.waiting),
    countText(queue.active),
    countText(queue.blocked),
    formatDuration(queue.latencyMs),
    paused ? `paused ${shortMoment(paused.since.toISOString())} by ${callerText(paused.by)}` : 'open',
  ];
}

function withToday(total: number, today: number): string {
  return total === 0 ? '0' : `${countText(total)}, ${countText(today)} of them today (UTC)`;
}

function counts({ processed, failed, retried, dead, discarded, cancelled, expired }: ClassSummary): object {
  return { processed, failed, retried, dead, discarded, cancelled, expired };
}

export const ADOPT: JobCommand = {
  name: 'adopt',
  operands: [],
  options: ['yes'],
  help: 'let the jobs of a database that was copied from elsewhere run here; until then none of them runs',
  prepare:
    ({ options }) =>
    async (context) => {
      await confirmed(context, options.yes === true, 'run the jobs that came with this database');
      const changed = await context.adopt();
      const text = changed ? 'Adopted: its jobs run here from now on.\n' : 'This database belongs here already.\n';
      return { json: { adopted: changed }, text };
    },
};
