import { HELD_KEY, placesKey, WAKE_CHANNEL } from '../redis/keys';
import { DEAD_LIMIT, DEAD_MAX_AGE_MS } from '../set/dead-limits';

/** How many ends of jobs that went straight to Redis are remembered per queue; a sweep forgets them by age, too. */
const RECENT_LIMIT = 20_000;

// One script records the outcomes of finished jobs and fetches the next ones: a round trip a job, or less.
//
// KEYS  queue prefixes ("bq:default:")
// ARGV  1 now (ms)  2 token of this call  3 jobs wanted  4 queues per order
//       5 order(s), one char per queue, '0' = KEYS[1]; strict: one order; weighted: one per wanted job
//       6 tokens of calls whose reply was lost, "|t1|t2|" or ""
//       7 limits of classes (class-limits.ts), "\nName\tlimit running-here\n…"; "\n": none, but look at what is held; "":
//         none, and do not look
//       8… outcomes, eight each: queue number, id, fence, op, record, due time (ms), traces, limited class or ""
// op    drop (succeeded or discarded), retry, bury (dead), back (to the head of the queue, uncounted)
// trace what a final outcome leaves behind: f an id in `finished` (its outbox row is to be deleted), r one in `recent`;
//       c takes its cursor and progress away
// reply { paused queue numbers, "1"/"0" per outcome, "1" if anything is held, then queue number, id, fence, record for
//         each job fetched }
//
// A fence is "<deliveries since the last outcome>:<token of the call that delivered>". Only the latest delivery may
// speak: when the fence differs the outcome is void, because it was sent twice, or the job was rescued or pushed back.
// Records are never rewritten here: cjson would turn [] into {}.
//
// A class with a limit has a set of its places, "<prefix><id>", in \`catamount:limit:<class>\`. When they are all taken, its
// next job moves from the queue to the list \`held:<class>\` beside it, and the walk goes on. Held jobs come before what
// waits in their queue as soon as there is a place, here or elsewhere: another process hears \`wake\`. Nothing but this
// script moves them, so nobody can forget them; those of a class without a limit (any more) flow at once. A place counts
// only while its job is in \`active\`: whatever else takes a job away from its process (a rescue, a take-over, a hand)
// frees it. \`catamount:held\` lists the keys of the lists that may hold something.
export const FUSED_SCRIPT = `
local call, now, token, want = redis.call, ARGV[1], ARGV[2], tonumber(ARGV[3])
local width, order, lost, limits = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local out, applied, paused = {'', '', ''}, {}, {}
local free, freed, held = {}, {}, {}                      -- by class: free places, if known; whether one was given up. By prefix: classes

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
  if traces:find('c', 1, true) then call('hdel', p..'cursor', id); call('hdel', p..'progress', id) end
  if traces:find('f', 1, true) then call('zadd', p..'finished', now, id) end
  if traces:find('r', 1, true) then
    call('zadd', p..'recent', now, id)
    if call('zcard', p..'recent') > ${RECENT_LIMIT} then call('zremrangebyrank', p..'recent', 0, ${RECENT_LIMIT / 2}) end
  end
end

-- Places of a class that are free. Without a limit: all, unless somebody who knows of one is at work.
local function freePlaces(class)
  if free[class] then return free[class] end
  local key = '${placesKey('')}'..class
  local _, at = limits:find('\\n'..class..'\\t', 1, true)
  local limit, own, taken = nil, 0, call('scard', key)
  if at then limit, own = limits:match('^(%d+) (%d+)', at + 1) end
  if taken > 0 and taken >= tonumber(limit or 1) then
    for _, place in ipairs(call('smembers', key)) do
      local p, id = place:match('^([^:]*:[^:]*:)(.*)$')
      if not call('lpos', p..'active', id) then
        call('srem', key, place); taken = taken - 1; freed[class] = true
      end
    end
  end
  free[class] = limit and tonumber(limit) - math.max(taken, tonumber(own)) or taken == 0 and math.huge or 0
  return free[class]
end

for a = 8, #ARGV, 8 do
  local p, id, fence, op, record, at, traces, class = KEYS[tonumber(ARGV[a])], unpack(ARGV, a + 1, a + 7)
  local current = call('hget', p..'deliveries', id)
  local ok = current == fence
  if ok then
    call('hdel', p..'deliveries', id); call('srem', p..'stalling', id)
    -- In waiting if it was rescued, but not fetched again yet.
    local had = call('lrem', p..'active', 1, id) > 0 or call('lrem', p..'waiting', 1, id) > 0
    if op == 'drop' then
      ok = call('hdel', p..'jobs', id) == 1
      if ok then leaveTrace(p, id, traces) end
    elseif not had or call('hexists', p..'jobs', id) == 0 then
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
  -- Not another delivery's place.
  if class ~= '' and (not current or current == fence) and call('srem', '${placesKey('')}'..class, p..id) == 1 then
    freed[class] = true
  end
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

if limits ~= '' then
  for _, key in ipairs(call('smembers', '${HELD_KEY}')) do
    local p, class = key:match('^([^:]*:[^:]*:)held:(.*)$')
    if call('exists', key) == 0 then call('srem', '${HELD_KEY}', key)
    else held[p] = held[p] or {}; table.insert(held[p], class); out[3] = '1' end
  end
end

-- The next job of a queue: its id, and its class where that matters. It is in \`active\` then.
local function pop(p)
  for _, class in ipairs(held[p] or {}) do
    if freePlaces(class) > 0 then
      local id = call('rpoplpush', p..'held:'..class, p..'active')
      if id then return id, class end
    end
  end
  return call('rpoplpush', p..'waiting', p..'active')
end

-- The class of a record, if it has a limit. What a plain producer wrote must begin alike, else it has none.
local function limitedClass(record)
  local class = record:match('^{"data":{[^{}%[%]]-"class":"([^"\\\\]+)"')
  return class and limits:find('\\n'..class..'\\t', 1, true) and class
end

local got, steps = 0, want + 500                          -- bounds the skips too: never a long script
while got < want and steps > 0 do
  local id, class
  for i = 1, width do
    local q = order:byte((got * width) % #order + i) - 47
    local p = KEYS[q]
    if paused[q] == nil then paused[q] = call('exists', p..'paused') == 1 end
    if not paused[q] then id, class = pop(p) end
    if id then
      local record, wasHeld = call('hget', p..'jobs', id), class
      if record and #limits > 1 then class = limitedClass(record) end
      if not record then                                  -- removed while it waited
        call('lrem', p..'active', 1, id); call('hdel', p..'deliveries', id)
      elseif class and not wasHeld and freePlaces(class) < 1 then
        call('lrem', p..'active', 1, id); call('lpush', p..'held:'..class, id)
        call('sadd', '${HELD_KEY}', p..'held:'..class); out[3] = '1'
      else
        local d = call('hget', p..'deliveries', id)
        local fence = ((d and tonumber(d:match('^%d+')) or 0) + 1)..':'..token
        got = got + 1
        call('hset', p..'deliveries', id, fence)
        if class then call('sadd', '${placesKey('')}'..class, p..id); free[class] = freePlaces(class) - 1 end
        for _, v in ipairs({q, id, fence, record}) do out[#out + 1] = v end
      end
      break
    end
  end
  steps = id and steps - 1 or 0
end

for p, classes in pairs(held) do                          -- places that this call gave up and did not take again
  for _, class in ipairs(classes) do
    if freed[class] and freePlaces(class) > 0 then call('publish', '${WAKE_CHANNEL}', p) end
  end
end
for q, yes in pairs(paused) do if yes then out[1] = out[1]..q..',' end end
out[2] = table.concat(applied)
return out`;
