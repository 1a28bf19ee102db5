import { GIST_LUA } from './gist';

/** As Sidekiq's: the oldest dead jobs make room, and none stays longer than this. */
export const DEAD_LIMIT = 10_000;
const DEAD_MAX_AGE_MS = 180 * 24 * 3600 * 1000;

/** zset, identity by its last heartbeat (ms, Redis's clock): every job processor of every tree on this Redis. */
export const PROCESSES = 'catamount:processes';

/** What every key of one process begins with. */
export const PROCESS_PREFIX = 'catamount:process:';

/** string: what a processor last told of itself, as JSON. */
export function processKey(identity: string): string {
  return PROCESS_PREFIX + identity;
}

/** list: commands that it has not executed yet. */
export function commandsKey(identity: string): string {
  return `${PROCESS_PREFIX}${identity}:commands`;
}

/** bee-queue's own prefix, so that its plain producers and readers work on the same keys. */
const PREFIX = 'bq';

/** What every key of a queue begins with: `bq:mailer:`. */
export function keyPrefix(queue: string): string {
  return `${PREFIX}:${queue}:`;
}

/** Keys of a queue beside bee-queue's (`jobs`, `waiting`, `active`, `delayed`, `failed`, `stalling`). */
type OwnKey =
  /** hash, id → `n:token`: deliveries without an outcome, and the fence of the latest. */
  | 'deliveries'
  /** zset by time of death. */
  | 'dead'
  /** hash, `age` or `limit` → how many dead jobs were dropped for it, until a processor has told of them. */
  | 'dropped'
  /** hash, id → what filters look for in a dead job (gist.ts). */
  | 'gists'
  /** string: exists while the queue is paused. */
  | 'paused'
  /** zset by time: jobs from the outbox that have an outcome, until their rows are deleted. */
  | 'finished'
  /** zset by time: jobs that went straight to Redis and have an outcome, for a minute. */
  | 'recent'
  /** set: jobs that went straight to Redis after all, though their rows are in the outbox, too: their ends are of both. */
  | 'twins'
  /** hash, id → JSON: where a job that checkpoints has come to, until its final outcome. */
  | 'cursor'
  /** hash, id → JSON: what a job last said of its progress, until its final outcome. */
  | 'progress';

/** zset of queues by when they were last served or began to fill, ms; those that are long empty leave it. */
export const QUEUES_KEY = 'catamount:queues';
/** set of the keys of lists of blocked jobs, `bq:mailer:blocked:ReportJob`; some may be empty. */
export const BLOCKED_KEY = 'catamount:blocked';
/** set of the key prefixes of queues that some processor does not peek at: who fills one wakes it. */
export const UNWATCHED_KEY = 'catamount:unwatched';
/** channel: the queue of this key prefix may have work for processors that found none. */
export const WAKE_CHANNEL = 'catamount:wake';

/** set of the places of a class that are taken, key prefix of the queue and id. */
export function semaphoreKey(jobName: string): string {
  return `catamount:limit:${jobName}`;
}

export function queueKey(queue: string, key: OwnKey | 'jobs' | 'waiting' | 'active' | 'delayed' | 'failed'): string {
  return keyPrefix(queue) + key;
}

/** How long the end of a job that went straight to Redis is remembered, ms: see JobEnqueuer. */
export const RECENT_MS = 60_000;
/** From so many ends per queue on, those that are older are not left to the sweep. */
const RECENT_LIMIT = 20_000;
/** And so many are remembered at most: some 10 MB. */
const RECENT_MOST = 100_000;

/**
 * Lua for scripts that end jobs: `bury(p, id, record)`, whose record is written already and need not be given, and
 * `leaveTrace(p, id, traces)`; expects `call` and `now` (ms).
 * Whatever makes a job vanish leaves its id in `finished`: there may be a row in the outbox, and without that trace it
 * would be taken for lost and be dispatched again. How many dead jobs made room, and why, is counted in `dropped` until a
 * processor has told of it (dropped-jobs.ts).
 */
export const OUTCOME_LUA = `
local function forget(p, ids)
  for _, id in ipairs(ids) do
    call('zrem', p..'dead', id); call('srem', p..'failed', id); call('hdel', p..'jobs', id)
    call('hdel', p..'gists', id)
    call('hdel', p..'cursor', id); call('hdel', p..'progress', id); call('zadd', p..'finished', now, id)
  end
end

local function drop(p, ids, reason)
  forget(p, ids)
  if ids[1] then call('hincrby', p..'dropped', reason, #ids) end
end

local function bury(p, id, record)
  ${GIST_LUA}
  -- Redis's own clock: a machine whose clock is months ahead would empty the set.
  local time = call('time')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local gist = gistOf(record or call('hget', p..'jobs', id) or '', now)
  if gist then call('hset', p..'gists', id, gist) else call('hdel', p..'gists', id) end
  call('sadd', p..'failed', id); call('zadd', p..'dead', now, id)
  drop(p, call('zrangebyscore', p..'dead', '-inf', now - ${DEAD_MAX_AGE_MS}, 'LIMIT', 0, 100), 'age')
  local over = call('zcard', p..'dead') - ${DEAD_LIMIT}
  if over > 0 then drop(p, call('zrange', p..'dead', 0, math.min(over, 100) - 1), 'limit') end
end

local function leaveTrace(p, id, traces)
  if traces:find('c', 1, true) then call('hdel', p..'cursor', id); call('hdel', p..'progress', id) end
  if call('srem', p..'twins', id) == 1 or traces:find('f', 1, true) then call('zadd', p..'finished', now, id) end
  if traces:find('r', 1, true) then
    call('zadd', p..'recent', now, id)
    if call('zcard', p..'recent') > ${RECENT_LIMIT} then call('zremrangebyscore', p..'recent', '-inf', now - ${RECENT_MS}) end
    if call('zcard', p..'recent') > ${RECENT_MOST} then call('zremrangebyrank', p..'recent', 0, ${RECENT_MOST / 2}) end
  end
end
`;
