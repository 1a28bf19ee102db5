/**
 * The keys that we use of a queue of bee-queue.
 * - `waiting`, a list: ids of our jobs and of those of plain bee-queue producers. The next job is at its right end.
 * - `jobs`, a hash, id → record, and `delayed`, a zset: for plain producers only.
 * - `earlierDelayed`, a channel: a plain producer has delayed a job until then.
 */
type QueueKey = 'waiting' | 'jobs' | 'delayed' | 'earlierDelayed';

/** bee-queue's own prefix, so that its plain producers work on the same keys. */
const PREFIX = 'bq';

/** bee-queue itself is not asked: loading it costs memory, and only a job processor needs its scripts. */
export function queueKey(queue: string, key: QueueKey): string {
  return `${PREFIX}:${queue}:${key}`;
}
