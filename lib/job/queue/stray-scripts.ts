import { PROCESSES } from '../pulse/process-keys';
import { HELD_KEY } from '../redis/keys';
import { OUTCOME_LUA } from '../redis/outcome-lua';
import { RedisScript } from '../redis/redis-script';
import { FILLING_LUA } from './queue-names';

// Every record of a queue is on one of these: `waiting`, `active`, `held:…`, `delayed`, `dead` (and with it in `failed`),
// or `succeeded` (of plain bee-queue workers). One that is on none of them would stay for ever without running.

/** Lua: `heldKeys()`, by key prefix the keys of the lists of held jobs. Expects `call`. */
const HELD_LUA = `
local function heldKeys()
  local held = {}
  for _, key in ipairs(call('smembers', '${HELD_KEY}')) do
    local p = key:match('^([^:]*:[^:]*:)held:')
    if p then held[p] = held[p] or {}; table.insert(held[p], key) end
  end
  return held
end
`;

/**
 * KEYS  queue prefixes
 * reply for each "1" where the number of records is not that of the places they are in
 */
export const COUNT_SCRIPT = new RedisScript(`
local call, out = redis.call, {}
${HELD_LUA}
local held = heldKeys()
for _, p in ipairs(KEYS) do
  local dead = call('zcard', p..'dead')
  local placed = dead + call('llen', p..'waiting') + call('llen', p..'active') + call('zcard', p..'delayed') + call('scard', p..'succeeded')
  for _, key in ipairs(held[p] or {}) do placed = placed + call('llen', key) end
  out[#out + 1] = (placed ~= call('hlen', p..'jobs') or call('scard', p..'failed') ~= dead) and '1' or '0'
end
return table.concat(out)`);

/**
 * The next records that are in no set; most of them are on a list. Those that are dead are in `failed` again.
 * KEYS  1 queue prefix
 * ARGV  1 cursor of HSCAN
 * reply the next cursor, the keys of the lists of held jobs, then id and when it was enqueued (ms) for each
 */
export const SCAN_SCRIPT = new RedisScript(`
local call, p = redis.call, KEYS[1]
${HELD_LUA}
local scanned = call('hscan', p..'jobs', ARGV[1], 'COUNT', 200)
local out = { scanned[1], heldKeys()[p] or {} }
for i = 1, #scanned[2], 2 do
  local id = scanned[2][i]
  local dead = call('zscore', p..'dead', id)
  if dead then call('sadd', p..'failed', id) end
  if not dead and not call('zscore', p..'delayed', id) and call('sismember', p..'succeeded', id) == 0 then
    out[#out + 1] = id
    out[#out + 1] = scanned[2][i + 1]:match('"options":{"timestamp":(%d+)') or '0'
  end
end
return out`);

/** Elements of lists that one call may look at one by one; that takes Redis 3 ms. */
const MOST_COMPARED = 250_000;
/** Elements that one call may read into a table of Lua's, in which it then finds any number of ids; 5 ms. */
const MOST_READ = 10_000;

/**
 * Looks once more, and puts those that really are nowhere where their records say that they belong: the dead set, the
 * retry set, else the end of the waiting list. What a listed process has in hand is left to it, and what an unlisted one
 * has, unless the caller is sure that it is gone.
 * KEYS  1 queue prefix
 * ARGV  id, "1" = sure, for each
 * reply a letter for each that was looked at, which may not be all: p put back, h in hand, u in the hand of a process
 *       that is not listed, o somewhere or gone
 */
export const PUT_BACK_SCRIPT = new RedisScript(`
local call, p, out = redis.call, KEYS[1], {}
local time = call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
${HELD_LUA}
${FILLING_LUA}
${OUTCOME_LUA}
local lists, total, wanted = heldKeys()[p] or {}, 0, #ARGV / 2
table.insert(lists, p..'waiting'); table.insert(lists, p..'active')
for _, key in ipairs(lists) do total = total + call('llen', key) end
local known
if wanted * total > ${MOST_COMPARED} then
  if total <= ${MOST_READ} then
    known = {}
    for _, key in ipairs(lists) do
      for _, id in ipairs(call('lrange', key, 0, -1)) do known[id] = true end
    end
  else
    wanted = math.max(1, math.floor(${MOST_COMPARED} / total))
  end
end

local function isListed(id)
  if known then return known[id] end
  for _, key in ipairs(lists) do
    if call('lpos', key, id) then return true end
  end
end

local function numberOf(record, name)
  local ok, read = pcall(cjson.decode, record)
  local options = ok and type(read) == 'table' and read.options
  return type(options) == 'table' and tonumber(options[name]) or 0
end

local function putBack(id, record)
  local status = record:match('"status":"(%a+)","progress":[^{}]*}$')
  if status == 'failed' then return bury(p, id, record) end
  local due = math.max(numberOf(record, 'dueAt'), numberOf(record, 'delay'))
  if due > now then
    call('zadd', p..'delayed', due, id)
    if call('zrange', p..'delayed', 0, 0)[1] == id then call('publish', p..'earlierDelayed', due) end
    return
  end
  -- A list of held jobs that nobody knows of any more gives them back once it is known again.
  local class = record:match('^{"data":{[^{}%[%]]-"class":"([^"\\\\]+)"')
  if class and call('lpos', p..'held:'..class, id) then return call('sadd', '${HELD_KEY}', p..'held:'..class) end
  if call('lpush', p..'waiting', id) == 1 then beginsToFill(p, now) end
end

for n = 1, wanted do
  local id, sure = ARGV[2 * n - 1], ARGV[2 * n] == '1'
  local record, state = call('hget', p..'jobs', id), 'o'
  if record and not call('zscore', p..'delayed', id) and not call('zscore', p..'dead', id)
    and call('sismember', p..'succeeded', id) == 0 and not isListed(id) then
    local delivery = call('hget', p..'deliveries', id)
    local holder = delivery and delivery:match('^%d+:([^.]+)%.')
    if holder and call('zscore', '${PROCESSES}', holder) then state = 'h'
    elseif holder and not sure then state = 'u'
    else putBack(id, record); state = 'p' end
  end
  out[n] = state
end
return table.concat(out)`);
