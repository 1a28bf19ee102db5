import type { RedisClient } from '../../core/redis';
import { readyAt } from '../record/ready-at';
import { readRecord } from '../record/record';
import { keyPrefix } from '../redis/keys';
import { RedisScript } from '../redis/redis-script';

// KEYS  queue prefixes ("bq:default:")
// reply for each: how many wait, the record of the one that is next; then the time, ms
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for _, p in ipairs(KEYS) do
  local id = call('lindex', p..'waiting', -1)
  out[#out + 1] = call('llen', p..'waiting')
  out[#out + 1] = id and call('exists', p..'paused') == 0 and call('hget', p..'jobs', id) or ''
end
local time = call('time')
out[#out + 1] = time[1] * 1000 + math.floor(time[2] / 1000)
return out`);

export interface QueueLatency {
  readonly queue: string;
  /** How long the job that is next has waited since it could have run, ms; 0 when none waits, or the queue is paused. */
  readonly latencyMs: number;
  /** Jobs that wait. */
  readonly size: number;
}

export async function queueLatencies(client: RedisClient, queues: readonly string[]): Promise<QueueLatency[]> {
  const reply = (await SCRIPT.run(client, queues.map(keyPrefix), [])) as (number | string)[];
  const now = Number(reply.at(-1));
  return queues.map((queue, index) => {
    const [size, text] = reply.slice(2 * index, 2 * index + 2);
    return { queue, latencyMs: latencyOf(String(text), now), size: Number(size) };
  });
}

function latencyOf(text: string, now: number): number {
  try {
    return Math.max(0, now - (readyAt(readRecord(text).options) ?? now));
  } catch {
    return 0;
  }
}
