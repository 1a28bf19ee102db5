import { DEAD_LIMIT, DEAD_MAX_AGE_MS } from '../set/dead-limits';

/** How many ends of jobs that went straight to Redis are remembered per queue; a sweep forgets them by age, too. */
const RECENT_LIMIT = 20_000;

// One script records the outcomes of finished jobs and fetches the next ones: a round trip a job, or less.
//
// KEYS  queue prefixes ("bq:default:")
// ARGV  1 now (ms)  2 token of this call  3 jobs wanted  4 queues per order
//       5 order(s), one char per queue, '0' = KEYS[1]; strict: one order; weighted: one per wanted job
//       6 tokens of calls whose reply was lost, "|t1|t2|" or ""
//       7… outcomes, seven each: queue number, id, fence, op, record, due time (ms), traces
// op    drop (succeeded or discarded), retry, bury (dead), back (to the head of the queue, uncounted)
// trace what a final outcome leaves behind: f an id in `finished` (its outbox row is to be deleted), r one in `recent`
// reply { paused queue numbers, "1"/"0" per outcome, then queue number, id, fence, record for each job fetched }
//
// A fence is "<deliveries since the last outcome>:<token of the call that delivered>". Only the latest delivery may
// speak: when the fence differs the outcome is void, because it was sent twice, or the job was rescued or pushed back.
// Records are never rewritten here: cjson would turn [] into {}.
export const FUSED_SCRIPT = `
local call, now, token, want = redis.call, ARGV[1], ARGV[2], tonumber(ARGV[3])
local width, order, lost, out, applied, paused = tonumber(ARGV[4]), ARGV[5], ARGV[6], {'', ''}, {}, {}

local function putBack(p, id, fence)
  call('rpush', p..'waiting', id)
  local n = tonumber(fence:match('^%d+')) - 1
  if n > 0 then call('hset', p..'deliveries', id, n..':') end
end

local function forget(p, ids)
  for _, id in ipairs(ids) do
    call('zrem', p..'dead', id); call('srem', p..'failed', id); call('hdel', p..'jobs', id)
  end
end

local function bury(p, id)
  call('sadd', p..'failed', id); call('zadd', p..'dead', now, id)
  forget(p, call('zrangebyscore', p..'dead', '-inf', now - ${DEAD_MAX_AGE_MS}, 'LIMIT', 0, 100))
  local over = call('zcard', p..'dead') - ${DEAD_LIMIT}
  if over > 0 then forget(p, call('zrange', p..'dead', 0, math.min(over, 100) - 1)) end
end

local function leaveTrace(p, id, traces)
  if traces:find('f', 1, true) then call('zadd', p..'finished', now, id) end
  if traces:find('r', 1, true) then
    call('zadd', p..'recent', now, id)
    if call('zcard', p..'recent') > ${RECENT_LIMIT} then call('zremrangebyrank', p..'recent', 0, ${RECENT_LIMIT / 2}) end
  end
end

for a = 7, #ARGV, 7 do
  local p, id, fence, op, record, at, traces = KEYS[tonumber(ARGV[a])], unpack(ARGV, a + 1, a + 6)
  local current = call('hget', p..'deliveries', id)
  local ok = current == fence
  if ok then
    call('hdel', p..'deliveries', id); call('srem', p..'stalling', id)
    -- In waiting if it was rescued, but not fetched again yet.
    local held = call('lrem', p..'active', 1, id) > 0 or call('lrem', p..'waiting', 1, id) > 0
    if op == 'drop' then
      ok = call('hdel', p..'jobs', id) == 1
      if ok then leaveTrace(p, id, traces) end
    elseif not held or call('hexists', p..'jobs', id) == 0 then
      ok = false                                          -- removed by hand while it ran
    elseif op == 'back' then
      putBack(p, id, fence)
    else
      call('hset', p..'jobs', id, record)
      if op == 'bury' then
        bury(p, id); leaveTrace(p, id, traces)
      elseif tonumber(at) <= tonumber(now) then
        call('lpush', p..'waiting', id)
      else
        call('zadd', p..'delayed', at, id)
        if call('zrange', p..'delayed', 0, 0)[1] == id then call('publish', p..'earlierDelayed', at) end
      end
    end
  elseif not current and op == 'drop' and traces:find('f', 1, true) and call('hexists', p..'jobs', id) == 0 then
    leaveTrace(p, id, traces)                             -- Redis was emptied meanwhile: the outbox row must go all the same
    ok = true
  end
  applied[#applied + 1] = ok and '1' or '0'
end

for _, p in ipairs(lost == '' and {} or KEYS) do          -- jobs handed out in replies that never came
  for _, id in ipairs(call('lrange', p..'active', 0, -1)) do
    local d = call('hget', p..'deliveries', id)
    if d and lost:find('|'..d:match(':(.*)$')..'|', 1, true) then
      call('lrem', p..'active', 1, id); call('srem', p..'stalling', id); call('hdel', p..'deliveries', id)
      putBack(p, id, d)
    end
  end
end

local got, steps = 0, want + 500                          -- bounds the skips too: never a long script
while got < want and steps > 0 do
  local id
  for i = 1, width do
    local q = order:byte((got * width) % #order + i) - 47
    local p = KEYS[q]
    if paused[q] == nil then paused[q] = call('exists', p..'paused') == 1 end
    if not paused[q] then id = call('rpoplpush', p..'waiting', p..'active') end
    if id then
      local record = call('hget', p..'jobs', id)
      if record then
        local d = call('hget', p..'deliveries', id)
        local fence = ((d and tonumber(d:match('^%d+')) or 0) + 1)..':'..token
        got = got + 1
        call('hset', p..'deliveries', id, fence)
        for _, v in ipairs({q, id, fence, record}) do out[#out + 1] = v end
      else                                                -- removed while it waited
        call('lrem', p..'active', 1, id); call('hdel', p..'deliveries', id)
      end
      break
    end
  end
  steps = id and steps - 1 or 0
end
for q, yes in pairs(paused) do if yes then out[1] = out[1]..q..',' end end
out[2] = table.concat(applied)
return out`;
