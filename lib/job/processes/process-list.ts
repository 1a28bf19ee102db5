import { HeartbeatRegistry } from '../../core/heartbeat-registry';
import type { RedisClient } from '../../core/redis';
import { compareText } from '../../support/text';
import { PROCESS_KEYS, type ProcessInfo, readProcessInfo } from './process-info';

export * from './process-info';

/** A job processor, by its latest status. */
export interface ListedProcess extends ProcessInfo {
  /** Age of its last heartbeat, ms. Above some 2000 the processor is blocked, disconnected or dead. */
  readonly heartbeatAgeMs: number;
}

/**
 * Lists the job processors of all trees on this Redis, from any process. While this is called again and again, idle
 * processors report as often as others.
 * @param options.watch false: they do not. Default true.
 * @returns the processors by tree, then by age, the oldest first. @throws when Redis does not answer.
 */
export async function listProcesses(
  redis: RedisClient,
  { watch = true }: { readonly watch?: boolean } = {},
): Promise<ListedProcess[]> {
  const found = await new HeartbeatRegistry(redis, PROCESS_KEYS).list(readProcessInfo, watch);
  const listed = found.map(({ info, heartbeatAgeMs }) => ({ ...info, heartbeatAgeMs }));
  return listed.sort((a, b) => compareText(a.tree, b.tree) || a.startedAt - b.startedAt);
}

/** @returns host and pid, such as `web-1:4711`. */
export function processName({ host, pid }: Pick<ListedProcess, 'host' | 'pid'>): string {
  return `${host}:${pid}`;
}
