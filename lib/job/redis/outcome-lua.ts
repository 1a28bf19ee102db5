import { DEAD_LIMIT, DEAD_MAX_AGE_MS } from '../set/dead-limits';
import { GIST_LUA } from './gist-lua';

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
 * processor has told of it (set/dropped-script.ts).
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
