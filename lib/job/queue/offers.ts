import { setTimeout as wait } from 'node:timers/promises';
import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { keyPrefix, NAMESPACE_LUA, queueKey, WAKE_CHANNEL } from './keys';

/** A process fetches what it was offered within a few ms, unless its event loop is blocked or it is frozen, ms. */
const LOOK_MS = 90;

const WAKE = new RedisScript(`${NAMESPACE_LUA}
return redis.call('publish', ns..'${WAKE_CHANNEL}', KEYS[1]:sub(#ns + 1))`);

/** Queues to look at when the timer of their client ends. */
const awaited = new WeakMap<RedisClient, Set<string>>();

/**
 * Call when jobs were put on these queues. Each may have been offered to a process that does not take it, and nobody
 * else knows of it: Redis tells one of those who wait. Who gives jobs therefore looks after them, by one command for each
 * queue with jobs in the last 90 ms, however many processes there are. A job that is still offered at a second look
 * wakes all processes, of which one then fetches it.
 */
export function lookAfterOffers(client: RedisClient, queues: Iterable<string>): void {
  const known = awaited.get(client) ?? new Set();
  for (const queue of queues) known.add(queue);
  if (awaited.has(client)) return;
  awaited.set(client, known);
  const look = () => {
    awaited.delete(client);
    // What fails is found by the polls of the processes.
    for (const queue of known) void handOn(client, queue).catch(() => undefined);
  };
  setTimeout(look, LOOK_MS).unref();
}

async function handOn(client: RedisClient, queue: string): Promise<void> {
  const offered = () => client.lRange(queueKey(queue, 'offered'), 0, -1);
  const first = await offered();
  if (first.length === 0) return;
  await wait(LOOK_MS, undefined, { ref: false });
  if ((await offered()).some((id) => first.includes(id))) await WAKE.run(client, [keyPrefix(queue)], []);
}
