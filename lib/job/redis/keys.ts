/** bee-queue's own prefix, so that its plain producers and readers work on the same keys. */
const PREFIX = 'bq';

/** What a queue may be called: its name is a part of keys. */
export const QUEUE_NAME = /^[A-Za-z0-9_-]+$/;

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
  /** hash, `age` or `limit` → how many dead jobs were dropped for it, until a processor has told of them. */
  | 'dropped'
  /** hash, id → what filters look for in a dead job (gist-lua.ts). */
  | 'gists'
  /** string: exists while the queue is paused. */
  | 'paused'
  /** zset by time: jobs from the outbox that have an outcome, until their rows are deleted. */
  | 'finished'
  /** zset by time: jobs that went straight to Redis and have an outcome, for a minute. */
  | 'recent'
  /** set: jobs that went straight to Redis after all, though their rows are in the outbox, too: their ends are of both. */
  | 'twins'
  /** hash, id → JSON: where a job that checkpoints has come to, until its final outcome. */
  | 'cursor'
  /** hash, id → JSON: what a job last said of its progress, until its final outcome. */
  | 'progress';

/** zset of queues by when they were last served or began to fill, ms; those that are long empty leave it. */
export const QUEUES_KEY = 'catamount:queues';
/** set of the keys of lists of held jobs, `bq:mailer:held:ReportJob`; some may be empty. */
export const HELD_KEY = 'catamount:held';
/** set of the key prefixes of queues that some processor does not peek at: who fills one wakes it. */
export const UNPEEKED_KEY = 'catamount:unpeeked';
/** channel: the queue of this key prefix may have work for processors that found none. */
export const WAKE_CHANNEL = 'catamount:wake';

/** set of the places of a class that are taken, key prefix of the queue and id. */
export function placesKey(jobName: string): string {
  return `catamount:limit:${jobName}`;
}

export function queueKey(queue: string, key: OwnKey | 'jobs' | 'waiting' | 'active' | 'delayed' | 'failed'): string {
  return keyPrefix(queue) + key;
}
