/**
 * bee-queue's keys of a queue that we use.
 * - `waiting`, a list: ids of our jobs, and of plain bee-queue producers'; the next one is at its right end.
 * - `jobs`, a hash, id → record, and `delayed`, a zset: of plain bee-queue producers only.
 * - `earlierDelayed`, a channel: a plain producer has delayed a job until then.
 */
type QueueKey = 'waiting' | 'jobs' | 'delayed' | 'earlierDelayed';

/** bee-queue's own prefix, so that its plain producers work on the same keys. */
const PREFIX = 'bq';

/** bee-queue itself is not asked: loading it costs memory, and only a job processor needs its scripts. */
export function queueKey(queue: string, key: QueueKey): string {
  return `${PREFIX}:${queue}:${key}`;
}
