import { type RedisClient, readServers, shardsOf } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { QUEUES_KEY } from './keys';
import { type QueueStatus, readStatuses } from './queue-status';

const ANSWER_MS = 5000;

/** @param client that of REDIS_URL, as everywhere below. @returns the client of the server that a queue lives on. */
export function clientOf(client: RedisClient, queue: string): RedisClient {
  return shardsOf(client)?.clientOf(queue) ?? client;
}

/** @returns the queues without those whose server is known to be unavailable. */
export function presentQueues(client: RedisClient, queues: readonly string[]): readonly string[] {
  const away = shardsOf(client)?.awayQueues ?? [];
  return away.length === 0 ? queues : queues.filter((queue) => !away.includes(queue));
}

/** @returns the names, sorted, of queues that have jobs or are served, or were so within the last ten minutes. */
export async function queueNames(client: RedisClient): Promise<string[]> {
  const names = await readServers(client, [], async (server) => {
    const listed = await answerWithin(ANSWER_MS, server.zRange(QUEUES_KEY, 0, -1));
    // The list of a server may still have queues that have moved to another one.
    return listed.filter((name) => clientOf(client, name) === server);
  });
  return [...names].sort();
}

/** @returns the configured queues, in their order, then all others, by name. @throws when Redis does not answer. */
export async function knownQueues(client: RedisClient, configured: readonly string[]): Promise<string[]> {
  return [...new Set([...configured, ...(await queueNames(client))])];
}

/**
 * Reads the status of all these queues in one script call for each server.
 * @returns those of the servers that answer. @throws when the server of REDIS_URL does not.
 */
export async function readQueues(client: RedisClient, names: readonly string[]): Promise<readonly QueueStatus[]> {
  const read = async (server: RedisClient, own: readonly string[]) =>
    own.length === 0 ? [] : readStatuses(server, own);
  const statuses = await readServers(client, names, read);
  const shards = shardsOf(client);
  return shards ? [...statuses].sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name)) : statuses;
}
