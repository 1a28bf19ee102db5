import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { queueKey } from './keys';

/** Dead jobs that are gone for good, since their queue's set was full or since they had been in it for 180 days. */
export interface Dropped {
  readonly queue: string;
  readonly count: number;
  readonly reason: 'limit' | 'age';
}

// KEYS  hashes of counts
// reply number of the hash, reason, count for each, which are told once
const COUNT_DROPPED_SCRIPT = new RedisScript(`
local out = {}
for n, key in ipairs(KEYS) do
  local counts = redis.call('hgetall', key)
  for i = 1, #counts, 2 do
    for _, value in ipairs({ n, counts[i], counts[i + 1] }) do out[#out + 1] = value end
  end
  if counts[1] then redis.call('del', key) end
end
return out`);

/** What was dropped since it was last asked for, by whomever. */
export async function takeDropped(client: RedisClient, queues: readonly string[]): Promise<Dropped[]> {
  if (queues.length === 0) return [];
  const keys = queues.map((queue) => queueKey(queue, 'dropped'));
  const reply = (await COUNT_DROPPED_SCRIPT.run(client, keys, [])) as (string | number)[];
  const dropped: Dropped[] = [];
  for (let i = 0; i < reply.length; i += 3) {
    const reason = reply[i + 1] === 'age' ? 'age' : 'limit';
    dropped.push({ queue: queues[Number(reply[i]) - 1] ?? '', reason, count: Number(reply[i + 2]) });
  }
  return dropped;
}
