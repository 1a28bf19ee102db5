import type { RedisClient } from '../../core/redis';
import { keyPrefix } from '../redis/keys';
import { RedisScript } from '../redis/redis-script';

/** What Redis knows of an id: it has the job, or its end that the settler will deal with; its end alone; nothing. */
export type Known = 'known' | 'ended' | 'unknown';

// KEYS  queue prefixes
// ARGV  id, number of its queue for each
// reply one letter an id: k, e, u
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for a = 1, #ARGV, 2 do
  local id, p = ARGV[a], KEYS[tonumber(ARGV[a + 1])]
  if call('hexists', p..'jobs', id) == 1 or call('zscore', p..'finished', id) then out[#out + 1] = 'k'
  elseif call('zscore', p..'recent', id) then out[#out + 1] = 'e'
  else out[#out + 1] = 'u' end
end
return table.concat(out)`);

const STATES: Readonly<Record<string, Known>> = { k: 'known', e: 'ended', u: 'unknown' };

/** One script call for a page of outbox rows. @returns a state for each. */
export async function whatRedisKnows(
  client: RedisClient,
  rows: readonly { readonly id: string; readonly queue: string }[],
): Promise<Known[]> {
  const queues = [...new Set(rows.map((row) => row.queue))];
  const args = rows.flatMap((row) => [row.id, String(queues.indexOf(row.queue) + 1)]);
  const reply = await SCRIPT.run(client, queues.map(keyPrefix), args);
  return Array.from(String(reply), (letter) => STATES[letter] ?? 'known');
}
