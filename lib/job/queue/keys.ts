/** zset, identity by its last heartbeat (ms, Redis's clock): every job processor of every tree on this Redis. */
export const PROCESSES = 'catamount:processes';
/** string: exists while somebody watches the processors. */
export const PROCESSES_WATCHED = 'catamount:watched:processes';
/** channel: the identity of a processor that is to send a heartbeat at once; empty: all are. */
export const PROCESSES_WAKE = 'catamount:wake:processes';

/** Prefix of the keys of each process. */
export const PROCESS_PREFIX = 'catamount:process:';

/** string: the latest status of a processor, as JSON. */
export function processKey(identity: string): string {
  return PROCESS_PREFIX + identity;
}

/** list: commands that the processor has not executed yet. */
export function commandsKey(identity: string): string {
  return `${PROCESS_PREFIX}${identity}:commands`;
}

/** bee-queue's own prefix, so that its plain producers and readers work on the same keys. */
const PREFIX = 'bq';

/** @returns the prefix of every key of a queue, such as `bq:mailer:`. */
export function keyPrefix(queue: string): string {
  return `${PREFIX}:${queue}:`;
}

/** Keys of a queue besides bee-queue's (`jobs`, `waiting`, `active`, `delayed`, `failed`, `stalling`). */
type OwnKey =
  /**
   * list: jobs that an idle processor was woken for and has not fetched yet; they go before those of `waiting`. Any
   * fetch takes them, so that they wait at most for the next poll if that processor has died.
   */
  | 'offered'
  /** hash, id → `n:token`: deliveries without an outcome, and the fence of the latest. */
  | 'deliveries'
  /** zset by time of death: jobs that have died, until they are handed over to Postgres (outbox/dead-jobs.ts). */
  | 'dead'
  /** string: number of these that were dropped for space while Postgres was unavailable and are not reported yet. */
  | 'dropped'
  /** string: exists while the queue is paused. */
  | 'paused'
  /** zset by time: jobs from the outbox that have an outcome, until their rows are deleted. */
  | 'ended'
  /** zset by time: jobs that went straight to Redis and have an outcome, for a minute. */
  | 'tombstones'
  /** set: jobs that went straight to Redis although they also have rows in the outbox, which their ends must delete. */
  | 'twins'
  /** hash, id → JSON: the latest checkpoint of a job, until its final outcome. */
  | 'cursor'
  /** hash, id → JSON: the latest progress of a job, until its final outcome. */
  | 'progress';

/**
 * Lua for scripts that use a key or channel below: `ns`, the prefix of all keys of this app (core/redis-url.ts), read
 * from the first key, since both clients add it to every key; `''` when there is none. Names that such a script
 * publishes or stores for code outside of scripts lack it.
 */
export const NAMESPACE_LUA = `
local ns = KEYS[1]:match('^{[^}]*}') or ''
`;

/** @returns a key that came from Redis without the prefix of all keys of this app, which both clients add again. */
export function withoutNamespace(key: string): string {
  return key.replace(/^\{[^}]*\}/, '');
}

/** zset of queues by the time at which they were last served or began to fill, ms; idle ones are removed. */
export const QUEUES_KEY = 'catamount:queues';
/** set of the keys of lists of blocked jobs, `bq:mailer:blocked:ReportJob`; some may be empty. */
export const BLOCKED_KEY = 'catamount:blocked';
/** set of the key prefixes of queues that some processor does not peek at; filling one publishes a wake-up. */
export const UNWATCHED_KEY = 'catamount:unwatched';
/** channel: its messages are the key prefixes of queues that may have work for idle processors. */
export const WAKE_CHANNEL = 'catamount:wake';

/** set: the permits of a class's limit that are taken, each as the key prefix of the queue and the job's id. */
export function semaphoreKey(jobName: string): string {
  return `catamount:semaphore:${jobName}`;
}

export function queueKey(queue: string, key: OwnKey | 'jobs' | 'waiting' | 'active' | 'delayed'): string {
  return keyPrefix(queue) + key;
}

/** Lua for `recall(p)`: puts offered jobs back at the head of `waiting`, in their order. Expects `call`. */
export const RECALL_LUA = `
local function recall(p)
  while call('lmove', p..'offered', p..'waiting', 'LEFT', 'RIGHT') do end
end
`;

/** Lua for `unqueue(p, id)`: removes a waiting job from its queue. Expects `call`. @returns whether it was there. */
export const UNQUEUE_LUA = `
local function unqueue(p, id)
  return call('lrem', p..'waiting', -1, id) > 0 or call('lrem', p..'offered', -1, id) > 0
end
`;

/** Time for which the end of a job that went straight to Redis is remembered, ms (see JobEnqueuer). */
export const TOMBSTONE_TTL_MS = 60_000;
/** Above this many ends per queue, expired ones are deleted at once instead of by the sweep. */
const TOMBSTONE_SWEEP_SIZE = 20_000;
/** Maximum number of ends per queue: some 10 MB. */
const MAX_TOMBSTONES = 100_000;

/** Maximum number of dead jobs per queue that wait for Postgres: some 80 MB. Beyond it the oldest are dropped. */
export const DYING_LIMIT = 10_000;

/**
 * Lua for scripts that end jobs: `leaveMarkers(p, id, markers)`, and `die(p, id, markers)` for a job whose record is
 * written already; expects `call` and `now` (ms). Whatever removes a job leaves its id in `ended`: the job may have a
 * row in the outbox, which would otherwise be taken for lost and dispatched again. A death leaves no such marker: the
 * row is deleted once the job is in `job_dead`.
 */
export const OUTCOME_LUA = `
local function leaveMarkers(p, id, markers)
  if markers:find('c', 1, true) then call('hdel', p..'cursor', id); call('hdel', p..'progress', id) end
  if call('srem', p..'twins', id) == 1 or markers:find('f', 1, true) then call('zadd', p..'ended', now, id) end
  if markers:find('r', 1, true) then
    call('zadd', p..'tombstones', now, id)
    if call('zcard', p..'tombstones') > ${TOMBSTONE_SWEEP_SIZE} then call('zremrangebyscore', p..'tombstones', '-inf', now - ${TOMBSTONE_TTL_MS}) end
    if call('zcard', p..'tombstones') > ${MAX_TOMBSTONES} then call('zremrangebyrank', p..'tombstones', 0, ${MAX_TOMBSTONES / 2}) end
  end
end

local function die(p, id, markers)
  -- Redis's own clock is used, so no two deaths of one job have the same time.
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
