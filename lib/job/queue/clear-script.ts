import type { RedisClient } from '../../core/redis';
import { HELD_KEY, keyPrefix } from '../redis/keys';
import { OUTCOME_LUA } from '../redis/outcome-lua';
import { answerWithin, RedisScript } from '../redis/redis-script';

const ANSWER_MS = 5000;
/** Jobs per call: it takes Redis some milliseconds. */
const CHUNK = 500;

// Deletes the jobs at the head of a list.
// KEYS  1 queue prefix
// ARGV  1 now (ms)  2 list, such as waiting  3 how many at most
// reply how many ids were taken, how many of these had a job, then the ids of those that may have a row in the outbox
const SCRIPT = new RedisScript(`
local call, now, p = redis.call, ARGV[1], KEYS[1]
${OUTCOME_LUA}
local function has(text, via) return text:find('"via":"'..via..'"', 1, true) end

local ids, jobs, out = call('rpop', p..ARGV[2], ARGV[3]) or {}, 0, {}
for _, id in ipairs(ids) do
  local text = call('hget', p..'jobs', id)
  call('hdel', p..'deliveries', id)
  if text then
    call('hdel', p..'jobs', id)
    -- Arguments that look like this leave a trace too many, which does nothing. Without a sign it may be from anywhere.
    local recent = has(text, 'redis') or has(text, 'fallback')
    local row = has(text, 'outbox') or has(text, 'fallback') or not recent
    leaveTrace(p, id, (row and 'f' or '')..(recent and 'r' or '')..'c')
    jobs = jobs + 1
    if row then out[#out + 1] = id end
  end
end
table.insert(out, 1, #ids); table.insert(out, 2, jobs)
return out`);

/**
 * Deletes what waits in a queue now, held jobs too, a chunk at a time; what comes meanwhile stays.
 * @param onCleared told after each chunk of the jobs that may have rows in the outbox.
 * @returns how many jobs were deleted.
 */
export async function clearQueue(
  client: RedisClient,
  queue: string,
  onCleared: (ids: readonly string[]) => Promise<void>,
): Promise<number> {
  const prefix = keyPrefix(queue);
  let deleted = 0;
  for (const list of ['waiting', ...(await heldLists(client, prefix))]) {
    let left = await answerWithin(ANSWER_MS, client.lLen(prefix + list));
    while (left > 0) {
      const args = [String(Date.now()), list, String(Math.min(CHUNK, left))];
      const [taken, jobs, ...ids] = (await SCRIPT.run(client, [prefix], args)) as [number, number, ...string[]];
      deleted += Number(jobs);
      left = Number(taken) === 0 ? 0 : left - Number(taken);
      if (ids.length > 0) await onCleared(ids);
    }
  }
  return deleted;
}

/** Such as `held:ReportJob`. */
async function heldLists(client: RedisClient, prefix: string): Promise<string[]> {
  const keys = await answerWithin(ANSWER_MS, client.sMembers(HELD_KEY));
  return keys.filter((key) => key.startsWith(`${prefix}held:`)).map((key) => key.slice(prefix.length));
}
