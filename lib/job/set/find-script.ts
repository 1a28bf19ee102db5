import type { RedisClient } from '../../core/redis';
import { keyPrefix } from '../redis/keys';
import { RedisScript } from '../redis/redis-script';

/** What Redis holds of a job in one queue. */
export interface Sighting {
  readonly queue: string;
  /** `nowhere`: it has a record only. */
  readonly place: 'dead' | 'delayed' | 'active' | 'held' | 'waiting' | 'nowhere';
  /** Of `dead` and `delayed`, ms since 1970; of `waiting` how many come before it. */
  readonly score: number;
  readonly text: string | undefined;
  readonly progress: string | undefined;
}

// Where a job is in each queue. `waiting` may be long: it comes last.
// KEYS  queue prefixes
// ARGV  1 id
// reply queue number, place, score, "1" if there is a record, record, progress for each queue that knows it
const SCRIPT = new RedisScript(`
local call, id, out = redis.call, ARGV[1], {}
for q, p in ipairs(KEYS) do
  local text = call('hget', p..'jobs', id)
  local class = text and text:match('^{"data":{[^{}%[%]]-"class":"([^"]+)"')
  local place, score = nil, 0
  for _, set in ipairs({ 'dead', 'delayed' }) do
    local its = call('zscore', p..set, id)
    if its then place, score = set, its end
  end
  if not place and call('lpos', p..'active', id) then place = 'active' end
  if not place and class and call('lpos', p..'held:'..class, id) then place = 'held' end
  local at = not place and call('lpos', p..'waiting', id, 'rank', -1)
  if at then place, score = 'waiting', call('llen', p..'waiting') - 1 - at end
  if place or text then
    for _, value in ipairs({ q, place or 'nowhere', score, text and '1' or '', text or '', call('hget', p..'progress', id) or '' }) do
      out[#out + 1] = value
    end
  end
end
return out`);

/** All queues that know the id. */
export async function sight(client: RedisClient, queues: readonly string[], id: string): Promise<Sighting[]> {
  if (queues.length === 0) return [];
  const reply = (await SCRIPT.run(client, queues.map(keyPrefix), [id])) as (string | number)[];
  const sightings: Sighting[] = [];
  for (let i = 0; i + 5 < reply.length; i += 6) {
    const [queue, place, score, hasRecord, text, progress] = reply.slice(i, i + 6).map(String);
    sightings.push({
      queue: queues[Number(queue) - 1] ?? '',
      place: place as Sighting['place'],
      score: Number(score),
      text: hasRecord ? text : undefined,
      progress: progress || undefined,
    });
  }
  return sightings;
}
