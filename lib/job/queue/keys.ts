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
  /** zset by time of death: jobs that have died, for the moment until they are in Postgres (outbox/dead-jobs.ts). */
  | 'dead'
  /** string: how many of these had to make room while Postgres was away, until a processor has told of them. */
  | 'dropped'
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

export function queueKey(queue: string, key: OwnKey | 'jobs' | 'waiting' | 'active' | 'delayed'): string {
  return keyPrefix(queue) + key;
}

/** How long the end of a job that went straight to Redis is remembered, ms: see JobEnqueuer. */
export const RECENT_MS = 60_000;
/** From so many ends per queue on, those that are older are not left to the sweep. */
const RECENT_LIMIT = 20_000;
/** And so many are remembered at most: some 10 MB. */
const RECENT_MOST = 100_000;

/** While Postgres is away so many dead jobs of a queue wait for it at most: some 80 MB. Then the oldest make room. */
export const DYING_LIMIT = 10_000;

/**
 * Lua for scripts that end jobs: `die(p, id, markers)`, whose record is written already, and `leaveMarkers(p, id, markers)`;
 * expects `call` and `now` (ms).
 * Whatever makes a job vanish leaves its id in `finished`: there may be a row in the outbox, and without that trace it
 * would be taken for lost and be dispatched again. A death leaves none: its row goes when it is dead in Postgres.
 */
export const OUTCOME_LUA = `
local function leaveMarkers(p, id, markers)
  if markers:find('c', 1, true) then call('hdel', p..'cursor', id); call('hdel', p..'progress', id) end
  if call('srem', p..'twins', id) == 1 or markers:find('f', 1, true) then call('zadd', p..'finished', now, id) end
  if markers:find('r', 1, true) then
    call('zadd', p..'recent', now, id)
    if call('zcard', p..'recent') > ${RECENT_LIMIT} then call('zremrangebyscore', p..'recent', '-inf', now - ${RECENT_MS}) end
    if call('zcard', p..'recent') > ${RECENT_MOST} then call('zremrangebyrank', p..'recent', 0, ${RECENT_MOST / 2}) end
  end
end

local function die(p, id, markers)
  -- By Redis's own clock, not by that of whoever asks: of one job no two deaths have the same time.
  local time = call('time')
  call('zadd', p..'dead', time[1] * 1000 + math.floor(time[2] / 1000), id)
  call('srem', p..'twins', id)
  leaveMarkers(p, id, (markers:gsub('f', '')))
  local over = call('zcard', p..'dead') - ${DYING_LIMIT}
  if over <= 0 then return end
  local oldest = call('zrange', p..'dead', 0, math.min(over, 100) - 1)
  for _, one in ipairs(oldest) do
    call('zrem', p..'dead', one); call('hdel', p..'jobs', one)
    leaveMarkers(p, one, 'fc')
  end
  call('incrby', p..'dropped', #oldest)
end
`;
