/** zset, identity by its last heartbeat (ms, Redis's clock): every job processor of every tree on this Redis. */
export const PROCESSES = 'catamount:processes';
/** string: exists while somebody watches the processors. */
export const PROCESSES_WATCHED = 'catamount:watched:processes';
/** channel: the identity of a processor that is to send a heartbeat at once; empty: all are. */
export const PROCESSES_WAKE = 'catamount:wake:processes';

/** Prefix of the keys of each process. */
export const PROCESS_PREFIX = 'catamount:process:';

/** string: the latest status of a processor, as JSON. */
export function processKey(identity: string): string {
  return PROCESS_PREFIX + identity;
}

/** list: commands that the processor has not executed yet. */
export function commandsKey(identity: string): string {
  return `${PROCESS_PREFIX}${identity}:commands`;
}

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
