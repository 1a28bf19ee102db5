import type { ListedQueue } from '../../job/queue/queues';
import { shortTime } from '../../support/short-time';
import { table } from '../../support/text-table';
import { count } from './figures';
import { type Line, line, type View } from './view';
import { wrap } from './wrap';

const HEADING = ['  queue', 'waiting', 'running', 'held', 'outbox', 'latency', 'state'];

/** Queues, at most `most` lines, those that are behind first where there is not room for all; and the sets. */
export function queues({ stores, picture }: View, columns: number, most: number): Line[] {
  const { queues: listed, retry, scheduled, dead, trouble } = stores;
  if (!listed) {
    const tone = trouble === undefined ? 'faint' : 'warn';
    return wrap(`Queues: ${trouble ?? 'asking …'}`, columns)
      .slice(0, most)
      .map((text) => line(text, tone));
  }
  const slowMs = picture?.limits.latencyWarningMs || Number.POSITIVE_INFINITY;
  const sets = [`Retry ${count(retry)}`, `scheduled ${count(scheduled)}`, `dead ${count(dead)}`];
  const room = most - 2;
  const worst =
    listed.length <= room ? listed : listed.toSorted((a, b) => b.latencyMs - a.latencyMs).slice(0, room - 1);
  const [heading = '', ...rows] = table([HEADING, ...worst.map(row)], columns);
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

function row({ name, waiting, active, held, inOutbox, latencyMs, paused }: ListedQueue): string[] {
  return [
    `  ${name}`,
    count(waiting),
    count(active),
    count(held),
    count(inOutbox),
    shortTime(latencyMs),
    paused ? `paused by ${paused.by}` : 'open',
  ];
}
