import { setTimeout as wait } from 'node:timers/promises';
import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { keyPrefix, NAMESPACE_LUA, queueKey, WAKE_CHANNEL } from './keys';

/** Interval between looks, ms. A process fetches what it was offered within a few, unless it is blocked or frozen. */
const LOOK_MS = 90;

const WAKE = new RedisScript(`${NAMESPACE_LUA}
return redis.call('publish', ns..'${WAKE_CHANNEL}', KEYS[1]:sub(#ns + 1))`);

/** Queues to look at when the timer of their client fires. */
const awaited = new WeakMap<RedisClient, Set<string>>();

/**
 * Call after putting jobs on these queues. Redis offers each job to one waiting process, so if that process does not
 * fetch it, no other knows of it. Therefore the enqueuing process looks again, with one command for each queue that got
 * jobs in the last 90 ms, however many processes there are. A job that is still offered at a second look wakes all
 * processes, and one of them fetches it.
 */
export function lookAfterOffers(client: RedisClient, queues: Iterable<string>): void {
  const known = awaited.get(client) ?? new Set();
  for (const queue of queues) known.add(queue);
  if (awaited.has(client)) return;
  awaited.set(client, known);
  const look = () => {
    awaited.delete(client);
    // If this fails, the polls of the processes find the jobs.
    for (const queue of known) void wakeIfStillOffered(client, queue).catch(() => undefined);
  };
  setTimeout(look, LOOK_MS).unref();
}

async function wakeIfStillOffered(client: RedisClient, queue: string): Promise<void> {
  const offered = () => client.lRange(queueKey(queue, 'offered'), 0, -1);
  const first = await offered();
  if (first.length === 0) return;
  await wait(LOOK_MS, undefined, { ref: false });
  if ((await offered()).some((id) => first.includes(id))) await WAKE.run(client, [keyPrefix(queue)], []);
}
