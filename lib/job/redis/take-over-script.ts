import type { RedisClient } from '../../core/redis';
import { keyPrefix } from './keys';
import { RedisScript } from './redis-script';

// KEYS  queue prefixes ("bq:default:")
// ARGV  1 what the dead process's tokens begin with
// reply queue number, id for each job given back
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for q, p in ipairs(KEYS) do
  for _, id in ipairs(call('lrange', p..'active', 0, -1)) do
    local d = call('hget', p..'deliveries', id)
    if d and d:find(':'..ARGV[1], 1, true) then
      call('lrem', p..'active', 1, id); call('srem', p..'stalling', id)
      call('hset', p..'deliveries', id, d:match('^%d+')..':')       -- still counted: it may have been what killed it
      call('rpush', p..'waiting', id)
      out[#out + 1] = q; out[#out + 1] = id
    end
  end
end
return out`);

/**
 * Gives what a dead process had in hand back to the head of its queue at once, where the stall check would wait for
 * its interval. Only for a process that is known to be dead. @returns the jobs given back.
 */
export async function takeOver(
  client: RedisClient,
  queues: readonly string[],
  deadTokens: string,
): Promise<{ readonly id: string; readonly queue: string }[]> {
  const reply = (await SCRIPT.run(client, queues.map(keyPrefix), [deadTokens])) as unknown[];
  const jobs: { id: string; queue: string }[] = [];
  for (let i = 0; i < reply.length; i += 2) {
    jobs.push({ queue: queues[Number(reply[i]) - 1] ?? '', id: String(reply[i + 1]) });
  }
  return jobs;
}
