import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { keyPrefix } from './keys';
import { WAKE_LUA } from './queue-status';

/** A script call carries at most so many bytes of records and so many jobs, so that it never holds Redis up. */
const LIMITS = { bytes: 1_000_000, count: 1000 };

/** What Redis made of a job: put it on the queue, knew it already, knew its end already, or came to it too late. */
export type Dispatched = 'queued' | 'known' | 'finished' | 'expired';

export interface DispatchedJob {
  readonly id: string;
  readonly queue: string;
  readonly record: string;
  /** The time of death of a job that has been retried, ms since 1970. */
  readonly diedAt?: number | undefined;
}

// What bee-queue's addJob.lua does, for many jobs, and never twice for one id.
// KEYS  queue prefixes ("bq:default:")
// ARGV  1 not after (ms, by Redis's clock), or 0 of rows in the outbox, then id, number of its queue, record, and when it
//       died or "", for each job
// reply one letter a job: q queued, k known, f finished, e expired
const SCRIPT = new RedisScript(`
local call, out, notAfter = redis.call, {}, tonumber(ARGV[1])
${WAKE_LUA}
local time = call('time')
local expired = notAfter > 0 and time[1] * 1000 + time[2] / 1000 > notAfter
for a = 2, #ARGV, 4 do
  local id, p, died, state = ARGV[a], KEYS[tonumber(ARGV[a + 1])], ARGV[a + 3], 'q'
  -- It lives again. What is left of that very death is not to undo it, nor is the trace that an end has left.
  if died ~= '' and call('zscore', p..'dead', id) == died then
    call('zrem', p..'dead', id)
    for _, key in ipairs({ 'jobs', 'cursor', 'progress', 'deliveries' }) do call('hdel', p..key, id) end
  end
  if call('zscore', p..'finished', id) or died == '' and call('zscore', p..'recent', id) then state = 'f'
  elseif expired then state = call('hexists', p..'jobs', id) == 1 and 'k' or 'e'
  elseif call('hsetnx', p..'jobs', id, ARGV[a + 2]) == 1 then
    if call('lpush', p..'waiting', id) == 1 then beginsToFill(p, time[1] * 1000) end
  else state = 'k' end
  -- It may have come straight to Redis, too late for whoever enqueued it, and know nothing of its row.
  if state == 'k' and notAfter == 0 then call('sadd', p..'twins', id) end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, Dispatched>> = { q: 'queued', k: 'known', f: 'finished', e: 'expired' };

export interface DispatchOptions {
  /** Redis refuses what reaches it later than this, ms since 1970. */
  readonly notAfter?: number;
  /** How long to wait for each answer, ms. */
  readonly limitMs?: number;
  /** Given the ids that Redis has taken when it says so too late for whoever waited. */
  readonly onLate?: (ids: readonly string[]) => void;
}

/**
 * Puts jobs on their queues in the order given; one that is there already, or has ended already, is left alone.
 * @returns a state for each job. @throws when Redis does not answer: some of them may be queued then.
 */
export async function dispatch(
  client: RedisClient,
  jobs: readonly DispatchedJob[],
  options?: DispatchOptions,
): Promise<Dispatched[]> {
  const states: Dispatched[] = [];
  for (const chunk of dispatchChunks(jobs)) states.push(...(await dispatchChunk(client, chunk, options)));
  return states;
}

/** In the sizes that `dispatchChunk` takes. */
export function dispatchChunks(jobs: readonly DispatchedJob[]): Iterable<readonly DispatchedJob[]> {
  return chunks(jobs, (job) => job.record.length, LIMITS);
}

/** All of them in one call, which Redis carries out whole or not at all. */
export async function dispatchChunk(
  client: RedisClient,
  jobs: readonly DispatchedJob[],
  { notAfter = 0, limitMs, onLate }: DispatchOptions = {},
): Promise<Dispatched[]> {
  const numbers = new Map<string, string>();
  const args = [String(notAfter)];
  for (const { id, queue, record, diedAt } of jobs) {
    const number = numbers.get(queue) ?? String(numbers.size + 1);
    numbers.set(queue, number);
    args.push(id, number, record, diedAt?.toString() ?? '');
  }
  const late = onLate && ((reply: unknown) => onLate(idsTaken(jobs, statesIn(reply))));
  return statesIn(await SCRIPT.run(client, [...numbers.keys()].map(keyPrefix), args, limitMs, late));
}

function statesIn(reply: unknown): Dispatched[] {
  return Array.from(String(reply), (letter) => STATES[letter] ?? 'known');
}

function idsTaken(jobs: readonly DispatchedJob[], states: readonly Dispatched[]): string[] {
  return jobs.filter((_, index) => states[index] === 'queued').map(({ id }) => id);
}

export interface ChunkLimits {
  readonly bytes: number;
  readonly count: number;
}

/** Cuts a list into parts of at most so many items and about so many bytes. One item alone may be larger. */
export function* chunks<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  limits: ChunkLimits,
): Generator<readonly T[]> {
  let begin = 0;
  let bytes = 0;
  for (let i = 0; i < items.length; i++) {
    const size = sizeOf(items[i] as T);
    if (i > begin && (bytes + size > limits.bytes || i - begin >= limits.count)) {
      yield items.slice(begin, i);
      begin = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (begin < items.length) yield items.slice(begin);
}
