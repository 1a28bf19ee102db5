import type { RedisClient } from '../../core/redis';
import { ordersKey, PROCESSES, processKey } from '../pulse/process-keys';
import { keyPrefix } from './keys';
import { RedisScript } from './redis-script';

// KEYS  1 processes, 2 the dead process, 3 its orders, 4… queue prefixes ("bq:default:")
// ARGV  1 its identity  2 0, or how long it must have been silent, ms: then who comes second takes nothing
// reply false, or queue number, id for each job given back
// The delivery stays counted, since it may be what killed the process; and its fence stays, in case that was blocked only
// and its outcome comes before the next delivery.
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
local tokens, silence = ':'..ARGV[1]..'.', tonumber(ARGV[2])
if silence > 0 then
  local time, pulse = call('time'), call('zscore', KEYS[1], ARGV[1])
  if not pulse or time[1] * 1000 + time[2] / 1000 - pulse < silence then return false end
end
call('zrem', KEYS[1], ARGV[1]); call('del', KEYS[2], KEYS[3])
for q = 4, #KEYS do
  local p = KEYS[q]
  for _, id in ipairs(call('lrange', p..'active', 0, -1)) do
    local d = call('hget', p..'deliveries', id)
    if d and d:find(tokens, 1, true) then
      call('lrem', p..'active', 1, id); call('srem', p..'stalling', id)
      call('rpush', p..'waiting', id)
      out[#out + 1] = q - 3; out[#out + 1] = id
    end
  end
end
return out`);

export interface TakenJob {
  readonly id: string;
  readonly queue: string;
}

/**
 * Gives what a dead process had in hand back to the head of its queue at once, where the stall check would wait for
 * its interval, and takes the process off the list.
 * @param silenceMs take over only what has been silent for this long; 0 for a process that is known to be dead.
 * @returns the jobs given back; undefined when it is not silent, or another process has taken them over.
 */
export async function takeOver(
  client: RedisClient,
  identity: string,
  queues: readonly string[],
  silenceMs = 0,
): Promise<readonly TakenJob[] | undefined> {
  const keys = [PROCESSES, processKey(identity), ordersKey(identity), ...queues.map(keyPrefix)];
  const reply = (await SCRIPT.run(client, keys, [identity, String(silenceMs)])) as unknown[] | null;
  if (reply === null) return undefined;
  const jobs: TakenJob[] = [];
  for (let i = 0; i < reply.length; i += 2) {
    jobs.push({ queue: queues[Number(reply[i]) - 1] ?? '', id: String(reply[i + 1]) });
  }
  return jobs;
}
