/** zset, identity by its last pulse (ms, Redis's clock): every job processor of every tree on this Redis. */
export const PROCESSES = 'catamount:processes';

/** What every key of one process begins with. */
export const PROCESS_PREFIX = 'catamount:process:';

/** string: what a processor last told of itself, as JSON. */
export function processKey(identity: string): string {
  return PROCESS_PREFIX + identity;
}

/** list: orders that it has not obeyed yet. */
export function ordersKey(identity: string): string {
  return `${PROCESS_PREFIX}${identity}:orders`;
}
