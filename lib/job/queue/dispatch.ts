import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { chunks } from '../../support/chunks';
import { keyPrefix, NAMESPACE_LUA, QUEUES_KEY, UNWATCHED_KEY, WAKE_CHANNEL } from './keys';
import { lookAfterOffers } from './offers';

/** Limits of one script call, in bytes of records and in jobs, so that it never blocks Redis for long. */
const LIMITS = { bytes: 1_000_000, count: 1000 };

/**
 * Lua for `beginsToFill(p, now)`, to be called with the key prefix of a queue that was empty: it lists the queue and
 * wakes processors that do not peek at it. Expects `call`.
 */
export const WAKE_LUA = `${NAMESPACE_LUA}
local function beginsToFill(p, now)
  call('zadd', ns..'${QUEUES_KEY}', now, (p:match('^[^:]*:(.*):$')))
  local own = p:sub(#ns + 1)
  if call('sismember', ns..'${UNWATCHED_KEY}', own) == 1 then call('publish', ns..'${WAKE_CHANNEL}', own) end
end
`;

/**
 * The result of a dispatch. `queued`: the job is on its queue now; `known`: Redis had it already; `ended`: it has
 * ended already; `expired`: the call came after `notAfter`.
 */
export type Dispatched = 'queued' | 'known' | 'ended' | 'expired';

export interface DispatchedJob {
  readonly id: string;
  readonly queue: string;
  readonly record: string;
  /** The time of death of a job that has been retried, ms since 1970. */
  readonly diedAt?: number | undefined;
}

// Does the work of bee-queue's addJob.lua for many jobs, and never twice for one id.
// KEYS  queue prefixes ("bq:default:")
// ARGV  1 not after (ms, by Redis's clock), or 0 for rows of the outbox; then, for each job, id, number of its queue,
//       record, and when it died or ""
// reply one letter a job: q queued, k known, f ended, e expired
const SCRIPT = new RedisScript(`
local call, out, notAfter = redis.call, {}, tonumber(ARGV[1])
${WAKE_LUA}
local time = call('time')
local expired = notAfter > 0 and time[1] * 1000 + time[2] / 1000 > notAfter
for a = 2, #ARGV, 4 do
  local id, p, died, state = ARGV[a], KEYS[tonumber(ARGV[a + 1])], ARGV[a + 3], 'q'
  -- The job was retried: neither the remains of its death nor the marker that its end has left may undo that.
  if died ~= '' and call('zscore', p..'dead', id) == died then
    call('zrem', p..'dead', id)
    for _, key in ipairs({ 'jobs', 'cursor', 'progress', 'deliveries' }) do call('hdel', p..key, id) end
  end
  if call('zscore', p..'ended', id) or died == '' and call('zscore', p..'tombstones', id) then state = 'f'
  elseif expired then state = call('hexists', p..'jobs', id) == 1 and 'k' or 'e'
  elseif call('hsetnx', p..'jobs', id, ARGV[a + 2]) == 1 then
    if call('lpush', p..'waiting', id) == 1 then beginsToFill(p, time[1] * 1000) end
  else state = 'k' end
  -- The job may have reached Redis directly after its enqueuer had given up on that, so its record names no row.
  if state == 'k' and notAfter == 0 then call('sadd', p..'twins', id) end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, Dispatched>> = { q: 'queued', k: 'known', f: 'ended', e: 'expired' };

export interface DispatchOptions {
  /** Awaited before each call; its error ends the dispatch. */
  readonly before?: () => Promise<unknown>;
  /** Redis rejects jobs that reach it later than this, ms since 1970. Default: none. */
  readonly notAfter?: number;
  /** Timeout of each reply, ms. */
  readonly limitMs?: number;
  /** Called with the ids that Redis has queued when its reply comes after the timeout. */
  readonly onLate?: (ids: readonly string[]) => void;
}

/**
 * Puts jobs on their queues in the order given; a job that is there already, or has ended already, is left alone.
 * @returns a state for each job. @throws when Redis does not answer: some of them may be queued then.
 */
export async function dispatch(
  client: RedisClient,
  jobs: readonly DispatchedJob[],
  options?: DispatchOptions,
): Promise<Dispatched[]> {
  const states: Dispatched[] = [];
  for (const chunk of dispatchChunks(jobs)) {
    await options?.before?.();
    states.push(...(await dispatchChunk(client, chunk, options)));
  }
  return states;
}

/** Splits jobs into chunks for `dispatchChunk`. */
export function dispatchChunks(jobs: readonly DispatchedJob[]): Iterable<readonly DispatchedJob[]> {
  return chunks(jobs, (job) => job.record.length, LIMITS);
}

/** Dispatches all of them in one script call, which Redis executes whole or not at all. */
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
  const states = statesIn(await SCRIPT.run(client, [...numbers.keys()].map(keyPrefix), args, limitMs, late));
  if (states.includes('queued')) lookAfterOffers(client, numbers.keys());
  return states;
}

function statesIn(reply: unknown): Dispatched[] {
  return Array.from(String(reply), (letter) => STATES[letter] ?? 'known');
}

function idsTaken(jobs: readonly DispatchedJob[], states: readonly Dispatched[]): string[] {
  return jobs.filter((_, index) => states[index] === 'queued').map(({ id }) => id);
}
