import type { RedisClient } from '../../core/redis';
import { keyPrefix } from '../redis/keys';
import { RedisScript } from '../redis/redis-script';

/** A script call carries at most this many bytes of records, so that it never holds Redis up. */
const MAX_BYTES = 1_000_000;

/** What Redis made of a job: put it on the queue, knew it already, knew its end already, or came to it too late. */
export type Dispatched = 'queued' | 'known' | 'finished' | 'expired';

export interface DispatchedJob {
  readonly id: string;
  readonly queue: string;
  readonly record: string;
}

// What bee-queue's addJob.lua does, for many jobs, and never twice for one id.
// KEYS  queue prefixes ("bq:default:")
// ARGV  1 not after (ms, by Redis's clock) or 0, then id, number of its queue, record for each job
// reply one letter a job: q queued, k known, f finished, e expired
const SCRIPT = new RedisScript(`
local call, out, notAfter = redis.call, {}, tonumber(ARGV[1])
local time = call('time')
local expired = notAfter > 0 and time[1] * 1000 + time[2] / 1000 > notAfter
for a = 2, #ARGV, 3 do
  local id, p = ARGV[a], KEYS[tonumber(ARGV[a + 1])]
  local state = 'q'
  if call('hexists', p..'jobs', id) == 1 then state = 'k'
  elseif call('zscore', p..'finished', id) or call('zscore', p..'recent', id) then state = 'f'
  elseif expired then state = 'e'
  else call('hset', p..'jobs', id, ARGV[a + 2]); call('lpush', p..'waiting', id) end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, Dispatched>> = { q: 'queued', k: 'known', f: 'finished', e: 'expired' };

export interface DispatchOptions {
  /** Redis refuses what reaches it later than this, ms since 1970. */
  readonly notAfter?: number;
  /** How long to wait for each answer, ms. */
  readonly limitMs?: number;
}

/**
 * Puts jobs on their queues in the order given; one that is there already, or has ended already, is left alone.
 * @returns a state for each job. @throws when Redis does not answer: some of them may be queued then.
 */
export async function dispatch(
  client: RedisClient,
  jobs: readonly DispatchedJob[],
  { notAfter = 0, limitMs }: DispatchOptions = {},
): Promise<Dispatched[]> {
  const states: Dispatched[] = [];
  for (const chunk of chunks(jobs)) {
    const queues = [...new Set(chunk.map((job) => job.queue))];
    const args = chunk.flatMap((job) => [job.id, String(queues.indexOf(job.queue) + 1), job.record]);
    const reply = await SCRIPT.run(client, queues.map(keyPrefix), [String(notAfter), ...args], limitMs);
    for (const letter of String(reply)) states.push(STATES[letter] ?? 'known');
  }
  return states;
}

function* chunks(jobs: readonly DispatchedJob[]): Generator<DispatchedJob[]> {
  let chunk: DispatchedJob[] = [];
  let bytes = 0;
  for (const job of jobs) {
    if (bytes > 0 && bytes + job.record.length > MAX_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(job);
    bytes += job.record.length;
  }
  if (chunk.length > 0) yield chunk;
}
