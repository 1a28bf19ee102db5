import { formatDuration } from '../../support/duration';
import { countText, pluralize } from '../../support/text';
import { table } from '../../support/text-table';
import type { ListedQueue } from '../admin/queues';
import { adoptDatabase } from '../outbox/installation';
import type { ListedProcess } from '../processes/process-list';
import type { ClassSummary } from '../stats/history';
import { type Answer, BOTH, type JobCommand } from './command';
import { confirmed, type Desk } from './desk';
import { shortMoment } from './list';

const QUEUE = [{ name: 'QUEUE' }] as const;

export const PAUSE: JobCommand = {
  name: 'pause',
  operands: QUEUE,
  options: [],
  needs: ['redis'],
  help: 'no job of this queue begins any more, in any process; they may still be enqueued',
  prepare:
    ({ operands: [queue = ''] }) =>
    (desk) =>
      pause(desk, queue),
};

export const RESUME: JobCommand = {
  name: 'resume',
  operands: QUEUE,
  options: [],
  needs: ['redis'],
  help: 'jobs of this queue begin again after a pause (without QUEUE: the job processor, see above)',
  prepare:
    ({ operands: [queue = ''] }) =>
    async (desk) => {
      await desk.checkQueues([queue]);
      const changed = await desk.queues.resume(queue);
      const text = changed ? `Resumed ${queue}.\n` : `${queue} is not paused.\n`;
      return { json: { queue, paused: false, changed }, text };
    },
};

export const CLEAR: JobCommand = {
  name: 'clear',
  operands: QUEUE,
  options: ['yes'],
  needs: BOTH,
  help: 'delete all that waits in this queue; what runs, is scheduled, failed or dead stays',
  prepare:
    ({ operands: [queue = ''], options }) =>
    (desk) =>
      clear(desk, queue, options.yes === true),
};

async function pause(desk: Desk, queue: string): Promise<Answer> {
  await desk.checkQueues([queue]);
  const changed = await desk.queues.pause(queue);
  const [status] = await desk.queues.list([queue]);
  const { since, by } = status?.paused ?? { since: new Date(), by: 'somebody' };
  const when = shortMoment(since.toISOString());
  return {
    json: { queue, paused: true, changed, since: since.toISOString(), by },
    text: changed
      ? `Paused ${queue}: jobs resume ${queue} takes it back.\n`
      : `${queue} is paused already: ${when}, by ${by}.\n`,
  };
}

async function clear(desk: Desk, queue: string, yes: boolean): Promise<Answer> {
  await desk.checkQueues([queue]);
  const [status] = await desk.queues.list([queue]);
  const count = (status?.waiting ?? 0) + (status?.held ?? 0) + (status?.inOutbox ?? 0);
  if (count > 0) await confirmed(desk, yes, `delete ${pluralize(count, 'job')} that wait in ${queue}`);
  const deleted = count === 0 ? 0 : await desk.queues.clear(queue);
  return {
    json: { queue, deleted },
    text:
      count === 0 ? `Nothing waits in ${queue}.\n` : `Deleted ${pluralize(deleted, 'job')} that waited in ${queue}.\n`,
  };
}

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
  readonly total: ClassSummary;
  readonly today: ClassSummary | undefined;
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
  return `${countText(busy)} of ${countText(capacity)}, in ${pluralize(processes.length, 'job processor')}`;
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
    formatDuration(queue.latencyMs),
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

function counts({ processed, failed, retried, dead, discarded }: ClassSummary): object {
  return { processed, failed, retried, dead, discarded };
}

export const ADOPT: JobCommand = {
  name: 'adopt',
  operands: [],
  options: ['yes'],
  needs: BOTH,
  help: 'let the jobs of a database that was copied from elsewhere run here; until then none does',
  prepare:
    ({ options }) =>
    async (desk) => {
      const { knex, redis, events, via } = desk.parts;
      await confirmed(desk, options.yes === true, 'run the jobs that this database has brought along');
      const changed = await adoptDatabase(knex, redis);
      if (changed) events.emit('operator.adopted', { via });
      const text = changed
        ? 'Adopted: its jobs are dispatched from now on.\n'
        : 'This database belongs here already.\n';
      return { json: { adopted: changed }, text };
    },
};
