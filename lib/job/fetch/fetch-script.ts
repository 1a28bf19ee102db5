import {
  BLOCKED_KEY,
  NAMESPACE_LUA,
  OUTCOME_LUA,
  RECALL_LUA,
  semaphoreKey,
  UNQUEUE_LUA,
  WAKE_CHANNEL,
} from '../queue/keys';

// The part of the fetch script that keeps the concurrency limits of classes.
//
// A class with a limit has a set of taken permits, `catamount:semaphore:<class>`, each "<prefix><id>". When the set is
// full, the next job of the class moves from its queue to that queue's list `blocked:<class>`, and the scan goes on. As
// soon as a permit is free, here or in another process (which is woken), blocked jobs go before the rest of their
// queue. Only a fetch moves them, so none can be forgotten: jobs of a class that no longer has a limit are fetched at
// once. A permit counts only while its job is in `active`, so anything that takes a job from its process (a rescue,
// a lost reply, an operator) frees its permit. `catamount:blocked` has the keys of the lists that may hold jobs.

const SEMAPHORE = `ns..'${semaphoreKey('')}'`;

/** Lua that defines the functions for limits when limits are given. Expects `call`, `limits` and `out`. */
export const LIMITS = `${NAMESPACE_LUA}
local freePermits, limitedClass, popBlocked, block, acquirePermit, releasePermit, wakeOthers
if limits ~= '' then
  local free, freed, blocked = {}, {}, {}              -- by class: free permits, if one was freed; by prefix: classes

  -- Returns the free permits of a class. Without a limit here they are unlimited, unless other processes hold some.
  freePermits = function(class, check)
    if free[class] then return free[class] end
    local key = ${SEMAPHORE}..class
    local _, at = limits:find('\\n'..class..'\\t', 1, true)
    local limit, here, taken = nil, 0, call('scard', key)
    if at then limit, here = limits:match('^(%d+) (%d+)', at + 1) end
    if taken > 0 and (check or taken >= tonumber(limit or 1)) then
      for _, permit in ipairs(call('smembers', key)) do
        local p, id = permit:match('^([^:]*:[^:]*:)(.*)$')
        if not call('lpos', p..'active', id) then
          call('srem', key, permit)
          taken, freed[class] = taken - 1, true
        end
      end
    end
    free[class] = limit and tonumber(limit) - math.max(taken, tonumber(here)) or taken == 0 and math.huge or 0
    return free[class]
  end

  -- A plain producer's record has a limit only if it begins like ours.
  limitedClass = function(record)
    local class = record:match('^{"data":{[^{}%[%]]-"class":"([^"\\\\]+)"')
    return class and limits:find('\\n'..class..'\\t', 1, true) and class
  end

  popBlocked = function(p)
    for _, class in ipairs(blocked[p] or {}) do
      local id = freePermits(class) > 0 and call('rpoplpush', p..'blocked:'..class, p..'active')
      if id then return id end
    end
  end

  block = function(p, id, class)
    call('lrem', p..'active', 1, id); call('lpush', p..'blocked:'..class, id)
    call('sadd', ns..'${BLOCKED_KEY}', p..'blocked:'..class)
    out[3] = '1'
  end

  acquirePermit = function(p, id, class)
    free[class] = freePermits(class) - 1
    call('sadd', ${SEMAPHORE}..class, p..id)
  end

  releasePermit = function(p, id, class)
    if call('srem', ${SEMAPHORE}..class, p..id) == 1 then freed[class] = true end
  end

  -- Permits that this call released and did not acquire again go to blocked jobs.
  wakeOthers = function()
    for p, classes in pairs(blocked) do
      for _, class in ipairs(classes) do
        if freed[class] and freePermits(class) > 0 then call('publish', ns..'${WAKE_CHANNEL}', p:sub(#ns + 1)) end
      end
    end
  end

  if limits:find('upkeep', 1, true) == 1 then          -- permits of dead processes, else noticed only if all are taken
    for class in limits:gmatch('\\n([^\\t\\n]+)\\t') do freePermits(class, true) end
  end

  for _, key in ipairs(call('smembers', ns..'${BLOCKED_KEY}')) do
    local p, class = key:match('^([^:]*:[^:]*:)blocked:(.*)$')
    if call('exists', key) == 0 then
      call('srem', ns..'${BLOCKED_KEY}', key)
    else
      blocked[p] = blocked[p] or {}
      table.insert(blocked[p], class)
      out[3] = '1'
    end
  end
end
`;

/** Maximum number of deliveries without an outcome; after that the job is not run again. */
export const MAX_DELIVERIES = 3;

// One script records the outcomes of finished jobs and fetches the next ones: a round trip a job, or less.
//
// KEYS  queue prefixes ("bq:default:")
// ARGV  1 now (ms)  2 token of this call  3 jobs wanted  4 queues per order
//       5 orders, two characters per queue, '00' = KEYS[1], '01' = KEYS[2]; strict: one; weighted: one per wanted job
//       6 tokens of calls whose reply was lost, "|t1|t2|" or ""
//       7 limits of classes (fetch-call.ts), "\nName\tlimit running-here\n…", sometimes after "upkeep"; "\n": none, but
//         check blocked jobs; "": none, and do not check
//       8 "1": the process has jobs running, so it gets none that must run alone
//       9 "1": recall what was offered before fetching; otherwise only if there are too few other jobs
//       10… outcomes, eight each: queue number, id, fence, op, record, due time (ms), markers, limited class or ""
// op    complete (succeeded), discard, retry, dead, release (return to the head of the queue, uncounted),
//       release-counted (the same, but counted), leave (delay until it is due, for other processors; uncounted)
// mark  what a final outcome leaves: f the id in `ended` (its outbox row is to be deleted), r the id in `tombstones`;
//       c deletes its cursor and progress
// reply { paused queue numbers, "1"/"0" per outcome, "1" if anything is blocked, "1" if a job waits to run alone, then
//         queue number, id, fence, record for each job fetched }
//
// A fence is "<deliveries since the last outcome>:<token of the call that delivered>". Only the latest delivery may
// report an outcome: when the fence differs the outcome is void, because it was sent twice, or the job was rescued or
// returned. A success counts even so if the id is a UUID of ours, since it can belong to no other job. A job with one
// delivery left may be the one that kills its processes, or may only have run beside it. Its last delivery goes to a
// process that runs nothing else, which shows which of the two it is. Earlier deliveries do not: otherwise, after a
// plain kill -9, a long job would keep everything else waiting. Records are never rewritten here, since cjson would
// turn [] into {}.
export const FETCH_SCRIPT = `
local call, now, token, want = redis.call, ARGV[1], ARGV[2], tonumber(ARGV[3])
local width, order, lostCalls, limits = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local out, applied, paused = {'', '', '', ''}, {}, {}
-- A Redis that is out of memory lets a script write only if its first write can free some, as that of an outcome can.
-- Without this one, the jobs that fill Redis could not be fetched, and would never end.
if not ARGV[10] then call('srem', KEYS[1]..'stalling', '') end
${LIMITS}
local function keepCount(p, id, fence, uncounted)
  local n = tonumber(fence:match('^%d+')) - uncounted
  if n > 0 then call('hset', p..'deliveries', id, n..':') end
end
local function returnToQueue(p, id, fence, uncounted)
  call('rpush', p..'waiting', id)
  keepCount(p, id, fence, uncounted)
end
local function delayJob(p, id, at)
  call('zadd', p..'delayed', at, id)
  if call('zrange', p..'delayed', 0, 0)[1] == id then call('publish', p..'earlierDelayed', at) end
end
${OUTCOME_LUA}
${RECALL_LUA}
${UNQUEUE_LUA}
for a = 10, #ARGV, 8 do
  local p, id, fence, op, record, at, markers, class = KEYS[tonumber(ARGV[a])], unpack(ARGV, a + 1, a + 7)
  local current = call('hget', p..'deliveries', id)
  local ok = current == fence
  if ok then
    call('hdel', p..'deliveries', id); call('srem', p..'stalling', id)
    -- It is in "waiting" if it was rescued and not fetched again yet; it may also be blocked by now.
    local had = call('lrem', p..'active', 1, id) > 0 or unqueue(p, id)
      or class ~= '' and call('lrem', p..'blocked:'..class, 1, id) > 0
    if op == 'discard' or op == 'complete' then
      ok = call('hdel', p..'jobs', id) == 1
      if ok then leaveMarkers(p, id, markers) end
    elseif not had or call('hexists', p..'jobs', id) == 0 then
      ok = false                                          -- removed by hand while it ran
    elseif op == 'release' or op == 'release-counted' then
      returnToQueue(p, id, fence, op == 'release' and 1 or 0)
    elseif op == 'leave' then
      delayJob(p, id, at)
      keepCount(p, id, fence, 1)
    else
      call('hset', p..'jobs', id, record)
      if op == 'dead' then
        die(p, id, markers)
      elseif tonumber(at) <= tonumber(now) then
        call('lpush', p..'waiting', id)
      else
        delayJob(p, id, at)
      end
    end
  elseif op == 'complete' and markers:find('[fr]') and call('hdel', p..'jobs', id) == 1 then
    call('hdel', p..'deliveries', id); call('srem', p..'stalling', id)
    call('lrem', p..'active', 1, id); unqueue(p, id); call('zrem', p..'delayed', id)
    call('zrem', p..'dead', id)
    if class ~= '' then call('lrem', p..'blocked:'..class, 1, id) end
    leaveMarkers(p, id, markers..'c')
    ok = true
  elseif not current and (op == 'discard' and markers:find('f', 1, true) or op == 'complete' and markers:find('[fr]'))
    and call('hexists', p..'jobs', id) == 0 then
    -- Redis was emptied meanwhile, and the outbox row must be deleted even so; or the job has died elsewhere and is
    -- dead in Postgres. If a job that went straight to Redis is anywhere, it is there, too.
    leaveMarkers(p, id, markers..'f')
    ok = true
  end
  applied[#applied + 1] = ok and '1' or '0'
  -- If another delivery is the current one, the permit may belong to that.
  if releasePermit and class ~= '' and (not current or current == fence) then releasePermit(p, id, class) end
end

for _, p in ipairs(lostCalls == '' and {} or KEYS) do     -- jobs delivered by replies that were lost
  for _, id in ipairs(call('lrange', p..'active', 0, -1)) do
    local d = call('hget', p..'deliveries', id)
    if d and lostCalls:find('|'..d:match(':(.*)$')..'|', 1, true) then
      call('lrem', p..'active', 1, id); call('srem', p..'stalling', id); call('hdel', p..'deliveries', id)
      returnToQueue(p, id, d, 1)
    end
  end
end

local function suspected(p, id)
  local d = call('hget', p..'deliveries', id)
  local n = d and tonumber(d:match('^%d+')) or 0
  return n >= ${MAX_DELIVERIES - 1}, n
end

-- Redis offers a job only while its queue is empty, and the process that was offered it requests the recall. So a
-- process that always finds jobs does not need it in each call.
local recalled = ARGV[9] == '1'
if recalled then for _, p in ipairs(KEYS) do recall(p) end end
local got, steps = 0, want + 500                          -- bounds the skipped jobs, too, so that no call takes long
while got < want and steps > 0 do
  local id
  for i = 1, width do
    local high, low = order:byte((2 * got * width) % #order + 2 * i - 1, (2 * got * width) % #order + 2 * i)
    local q = (high - 48) * 64 + low - 47
    local p, wasBlocked = KEYS[q], false
    if paused[q] == nil then paused[q] = call('exists', p..'paused') == 1 end
    if not paused[q] then
      id = popBlocked and popBlocked(p)
      wasBlocked = id
      id = id or call('rpoplpush', p..'waiting', p..'active')
    end
    if id then
      local record = call('hget', p..'jobs', id)
      local class = limitedClass and record and limitedClass(record)
      if not record then                                  -- removed while it waited
        call('lrem', p..'active', 1, id); call('hdel', p..'deliveries', id)
      elseif class and not wasBlocked and freePermits(class) < 1 then
        block(p, id, class)
      else
        local alone, earlier = suspected(p, id)
        if alone and (got > 0 or ARGV[8] == '1') then
          call('lrem', p..'active', 1, id); call('rpush', wasBlocked and p..'blocked:'..class or p..'waiting', id)
          out[4], steps = '1', 0
          break
        end
        if alone then steps = 0 end
        local fence = (earlier + 1)..':'..token
        got = got + 1
        call('hset', p..'deliveries', id, fence)
        if class then acquirePermit(p, id, class) end
        local n = got * 4 + 1
        out[n], out[n + 1], out[n + 2], out[n + 3] = q, id, fence, record
      end
      break
    end
  end
  if not id and not recalled then
    for _, p in ipairs(KEYS) do recall(p) end
    recalled = true
  else
    steps = id and steps - 1 or 0
  end
end
if wakeOthers then wakeOthers() end
for q, yes in pairs(paused) do if yes then out[1] = out[1]..q..',' end end
out[2] = table.concat(applied)
return out`;
