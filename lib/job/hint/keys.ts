import { beeKeys } from '../../internals/bee-queue';

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
 * - `active`, a list: jobs of plain producers that are about to get a row.
 * - `earlierDelayed`, a channel: a plain producer has delayed a job until then.
 */
type QueueKey = 'waiting' | 'jobs' | 'delayed' | 'active' | 'earlierDelayed';

const known = new Map<string, (key: string) => string>();

export function queueKey(queue: string, key: QueueKey): string {
  const keys = known.get(queue) ?? beeKeys(queue);
  known.set(queue, keys);
  return keys(key);
}
