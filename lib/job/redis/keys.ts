/** bee-queue's own prefix, so that its plain producers and readers work on the same keys. */
const PREFIX = 'bq';

/** What every key of a queue begins with: `bq:mailer:`. */
export function keyPrefix(queue: string): string {
  return `${PREFIX}:${queue}:`;
}

/** Keys of a queue beside bee-queue's (`jobs`, `waiting`, `active`, `delayed`, `failed`, `stalling`). */
export type OwnKey =
  /** hash, id → `n:token`: deliveries without an outcome, and the fence of the latest. */
  | 'deliveries'
  /** zset by time of death. */
  | 'dead'
  /** string: exists while the queue is paused. */
  | 'paused'
  /** zset by time: jobs from the outbox that have an outcome, until their rows are deleted. */
  | 'finished'
  /** zset by time: jobs that went straight to Redis and have an outcome, for a minute. */
  | 'recent';

export function queueKey(queue: string, key: OwnKey | 'jobs' | 'waiting' | 'active' | 'delayed' | 'failed'): string {
  return keyPrefix(queue) + key;
}
