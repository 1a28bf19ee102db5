import type { RedisClient } from '../../core/redis';
import { keyPrefix } from '../redis/keys';
import { OUTCOME_LUA } from '../redis/outcome-lua';
import { RedisScript } from '../redis/redis-script';

/** Dead from now on; or it had ended already; or Redis has it, so that it is not ours to bury. */
export type Buried = 'buried' | 'ended' | 'known';

// Makes dead jobs of such as Redis does not know yet. Their rows are to be deleted: should nobody come to that, `finished`
// tells the settler.
// KEYS  queue prefixes
// ARGV  1 now (ms), then number of the queue, id, record for each
// reply one letter a job: b, e, k
const SCRIPT = new RedisScript(`
local call, now, out = redis.call, ARGV[1], {}
${OUTCOME_LUA}
for a = 2, #ARGV, 3 do
  local p, id, state = KEYS[tonumber(ARGV[a])], ARGV[a + 1], 'b'
  if call('zscore', p..'finished', id) or call('zscore', p..'recent', id) then state = 'e'
  elseif call('hexists', p..'jobs', id) == 1 then state = 'k'
  else call('hset', p..'jobs', id, ARGV[a + 2]); bury(p, id, ARGV[a + 2]); leaveTrace(p, id, 'f') end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, Buried>> = { b: 'buried', e: 'ended' };

export async function buryUnknown(
  client: RedisClient,
  jobs: readonly { readonly id: string; readonly queue: string; readonly record: string }[],
): Promise<Buried[]> {
  const queues = [...new Set(jobs.map((job) => job.queue))];
  const args = jobs.flatMap((job) => [String(queues.indexOf(job.queue) + 1), job.id, job.record]);
  const reply = String(await SCRIPT.run(client, queues.map(keyPrefix), [String(Date.now()), ...args]));
  return Array.from(reply, (letter) => STATES[letter] ?? 'known');
}
