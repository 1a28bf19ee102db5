import { DEAD_LIMIT, DEAD_MAX_AGE_MS } from '../set/dead-limits';
import { GIST_LUA } from './gist-lua';

/** How many ends of jobs that went straight to Redis are remembered per queue; a sweep forgets them by age, too. */
const RECENT_LIMIT = 20_000;

/**
 * Lua for scripts that end jobs: `bury(p, id, record)`, whose record is written already and need not be given, and
 * `leaveTrace(p, id, traces)`; expects `call` and `now` (ms).
 * Whatever makes a job vanish leaves its id in `finished`: there may be a row in the outbox, and without that trace it
 * would be taken for lost and be dispatched again.
 */
export const OUTCOME_LUA = `
local function forget(p, ids)
  for _, id in ipairs(ids) do
    call('zrem', p..'dead', id); call('srem', p..'failed', id); call('hdel', p..'jobs', id)
    call('hdel', p..'gists', id)
    call('hdel', p..'cursor', id); call('hdel', p..'progress', id); call('zadd', p..'finished', now, id)
  end
end

local function bury(p, id, record)
  ${GIST_LUA}
  local gist = gistOf(record or call('hget', p..'jobs', id) or '', now)
  if gist then call('hset', p..'gists', id, gist) else call('hdel', p..'gists', id) end
  call('sadd', p..'failed', id); call('zadd', p..'dead', now, id)
  forget(p, call('zrangebyscore', p..'dead', '-inf', now - ${DEAD_MAX_AGE_MS}, 'LIMIT', 0, 100))
  local over = call('zcard', p..'dead') - ${DEAD_LIMIT}
  if over > 0 then forget(p, call('zrange', p..'dead', 0, math.min(over, 100) - 1)) end
end

local function leaveTrace(p, id, traces)
  if traces:find('c', 1, true) then call('hdel', p..'cursor', id); call('hdel', p..'progress', id) end
  if traces:find('f', 1, true) then call('zadd', p..'finished', now, id) end
  if traces:find('r', 1, true) then
    call('zadd', p..'recent', now, id)
    if call('zcard', p..'recent') > ${RECENT_LIMIT} then call('zremrangebyrank', p..'recent', 0, ${RECENT_LIMIT / 2}) end
  end
end
`;
