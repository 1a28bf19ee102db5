import type { RedisClient } from '../../core/redis';
import { keyPrefix } from '../redis/keys';
import { RedisScript } from '../redis/redis-script';
import { type FoundJob, foundJobs } from './found-job';
import { InvalidRequestError } from './invalid-request';
import type { CheckedRef } from './reference';

// Which of these jobs are in a sorted set of their queue, and what it holds of them.
// KEYS  queue prefixes
// ARGV  1 set, then ids
// reply queue number, id, score, record, its SHA-1, progress for each
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for a = 2, #ARGV do
  local id = ARGV[a]
  for q, p in ipairs(KEYS) do
    local score = call('zscore', p..ARGV[1], id)
    if score then
      local text, progress = call('hget', p..'jobs', id), call('hget', p..'progress', id)
      for _, value in ipairs({ q, id, score, text or '', text and redis.sha1hex(text) or '', progress or '' }) do
        out[#out + 1] = value
      end
    end
  end
end
return out`);

/**
 * The jobs that are in the set; those that are not are left out.
 * @throws InvalidRequestError when an id without a queue is in the set of several queues.
 */
export async function locate(
  client: RedisClient,
  key: 'dead' | 'delayed',
  queues: readonly string[],
  refs: readonly CheckedRef[],
): Promise<FoundJob[]> {
  const searched = [...new Set([...queues, ...refs.flatMap((ref) => ref.queue ?? [])])];
  if (searched.length === 0 || refs.length === 0) return [];
  const ids = [...new Set(refs.map((ref) => ref.id))];
  const reply = (await SCRIPT.run(client, searched.map(keyPrefix), [key, ...ids])) as (string | number)[];
  const wanted = foundJobs(searched, reply).filter((job) =>
    refs.some((ref) => ref.id === job.id && (ref.queue === undefined || ref.queue === job.queue)),
  );
  for (const { id } of refs.filter((ref) => ref.queue === undefined)) {
    const places = wanted.filter((job) => job.id === id).map((job) => job.queue);
    if (places.length > 1) {
      throw new InvalidRequestError(`job ${id} is in several queues (${places.join(', ')}): say which one is meant`);
    }
  }
  return wanted;
}
