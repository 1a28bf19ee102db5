import type { RedisClient } from '../../core/redis';
import { keyPrefix } from '../redis/keys';
import { OUTCOME_LUA } from '../redis/outcome-lua';
import { RedisScript } from '../redis/redis-script';

/** Where jobs are taken from. */
export type MoveFrom = 'delayed' | 'dead' | 'waiting';
/** Where to: the tail of their queue, `delayed`, `dead`; `drop`: nowhere. */
export type MoveTo = 'queue' | 'delay' | 'bury' | 'drop';

/** Instead of a SHA-1: whatever its record is by now. */
export const ANY = '*';

export interface MovedJob {
  readonly id: string;
  readonly queue: string;
  /** Of the record that the mover has read, '' when there was none. */
  readonly sha: string;
  /** The record from now on; undefined: as it was. */
  readonly record: string | undefined;
  /** What its end leaves behind (adapter/fused-script.ts). */
  readonly traces: string;
}

/** Moved; or not in that set any more; or its record has changed since it was read. */
export type MoveState = 'moved' | 'gone' | 'changed';

/** A script call carries at most so many jobs, or so many bytes of records. */
const MOST = 200;
const MAX_BYTES = 1_000_000;

// Whoever takes the id out of its set has the job: a second click finds nothing.
// KEYS  1 queue prefix
// ARGV  1 now (ms)  2 from  3 to  4 due time (ms)  5… four per job: id, SHA-1, new record or "", traces
// reply one letter a job: m moved, g gone, c changed
const SCRIPT = new RedisScript(`
local call, now = redis.call, ARGV[1]
${OUTCOME_LUA}
local p, from, to, at, out = KEYS[1], ARGV[2], ARGV[3], ARGV[4], {}

local function take(id)
  if from == 'waiting' then return call('lrem', p..'waiting', -1, id) == 1 end
  return call('zrem', p..from, id) == 1
end

local function put(id, record, traces)
  if from == 'dead' then call('srem', p..'failed', id); call('hdel', p..'gists', id) end
  call('hdel', p..'deliveries', id)
  if to == 'drop' then
    call('hdel', p..'jobs', id)
    return leaveTrace(p, id, traces..'c')
  end
  if record ~= '' then call('hset', p..'jobs', id, record) end
  if to == 'bury' then
    bury(p, id); leaveTrace(p, id, traces)
  elseif to == 'delay' then
    call('zadd', p..'delayed', at, id)
    if call('zrange', p..'delayed', 0, 0)[1] == id then call('publish', p..'earlierDelayed', at) end
  else
    -- It lives again: what is left of its end must not delete its new row.
    if from == 'dead' then call('zrem', p..'finished', id); call('zrem', p..'recent', id) end
    call('lpush', p..'waiting', id)
  end
end

for a = 5, #ARGV, 4 do
  local id, sha, record, traces = unpack(ARGV, a, a + 3)
  local text = call('hget', p..'jobs', id)
  local there = from == 'waiting' or call('zscore', p..from, id)
  local state = 'g'
  if there and text and sha ~= '${ANY}' and redis.sha1hex(text) ~= sha then state = 'c'
  elseif there and (text or to == 'drop') and take(id) then
    put(id, record, traces); state = 'm'
  end
  -- The row that was made for its new life is in vain.
  if state == 'g' and from == 'dead' and to == 'queue' and not text then call('zadd', p..'finished', now, id) end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, MoveState>> = { m: 'moved', c: 'changed' };

/**
 * Moves jobs, each by itself and only if nobody has touched it since it was read.
 * @param at when they are due, ms since 1970; for `delay`.
 * @returns a state for each, in order.
 */
export async function moveJobs(
  client: RedisClient,
  { from, to, at = 0 }: { readonly from: MoveFrom; readonly to: MoveTo; readonly at?: number | undefined },
  jobs: readonly MovedJob[],
): Promise<MoveState[]> {
  const states = new Map<MovedJob, MoveState>();
  for (const batch of batches(jobs)) {
    const args = batch.flatMap((job) => [job.id, job.sha, job.record ?? '', job.traces]);
    const head = [Date.now(), from, to, Math.ceil(at)].map(String);
    const reply = String(await SCRIPT.run(client, [keyPrefix(batch[0]?.queue ?? '')], [...head, ...args]));
    for (const [index, job] of batch.entries()) states.set(job, STATES[reply[index] ?? ''] ?? 'gone');
  }
  return jobs.map((job) => states.get(job) ?? 'gone');
}

/** Of one queue each. */
function* batches(jobs: readonly MovedJob[]): Generator<MovedJob[]> {
  for (const queue of new Set(jobs.map((job) => job.queue))) {
    let batch: MovedJob[] = [];
    let bytes = 0;
    for (const job of jobs) {
      if (job.queue !== queue) continue;
      const length = job.record?.length ?? 0;
      if (batch.length === MOST || (bytes > 0 && bytes + length > MAX_BYTES)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(job);
      bytes += length;
    }
    if (batch.length > 0) yield batch;
  }
}
