import type { RedisClient } from '../../core/redis';
import { keyPrefix, QUEUES_KEY, UNPEEKED_KEY, WAKE_CHANNEL } from '../redis/keys';
import { answerWithin, RedisScript } from '../redis/redis-script';

const ANSWER_MS = 5000;
/** An empty queue that nobody has served for this long is forgotten, ms. */
const FORGOTTEN_AFTER_MS = 10 * 60_000;

/**
 * Lua: `beginsToFill(p, now)`, for the key prefix of a queue that was empty, puts it on the list of those that exist and
 * wakes processors that do not wait for its jobs; expects `call`.
 */
export const FILLING_LUA = `
local function beginsToFill(p, now)
  call('zadd', '${QUEUES_KEY}', now, (p:match('^[^:]*:(.*):$')))
  if call('sismember', '${UNPEEKED_KEY}', p) == 1 then call('publish', '${WAKE_CHANNEL}', p) end
end
`;

/** Queues that have jobs, are served, or were so a few minutes ago, by name: whoever enqueued, whoever serves them. */
export async function queueNames(client: RedisClient): Promise<string[]> {
  const names = await answerWithin(ANSWER_MS, client.zRange(QUEUES_KEY, 0, -1));
  return names.sort();
}

/** Those that are configured, in their order, then all others that exist, by name. @throws when Redis does not answer. */
export async function knownQueues(client: RedisClient, configured: readonly string[]): Promise<string[]> {
  return [...new Set([...configured, ...(await queueNames(client))])];
}

// KEYS  1 queues, then queue prefixes
// ARGV  1 forget those noted before (ms), then their names
const FORGET = new RedisScript(`
local call = redis.call
for n = 2, #ARGV do
  local p, noted = KEYS[n], tonumber(call('zscore', KEYS[1], ARGV[n]) or 0)
  if noted < tonumber(ARGV[1]) and call('exists', p..'jobs', p..'finished', p..'recent', p..'paused', p..'dropped') == 0 then
    call('zrem', KEYS[1], ARGV[n])
  end
end`);

/** Takes queues off the list that have been empty, and not served, for minutes. */
export async function forgetIdleQueues(client: RedisClient, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const before = String(Date.now() - FORGOTTEN_AFTER_MS);
  await FORGET.run(client, [QUEUES_KEY, ...names.map(keyPrefix)], [before, ...names]);
}
