import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { keyPrefix } from '../queue/keys';
import { FILTER_LUA } from './filter-script';
import type { ScanStep } from './scan';

/** A position in a scan: after this job, in the order of the scan. */
export interface ScanPosition {
  readonly score: number;
  readonly queue: string;
  readonly id: string;
}

export interface Scan {
  readonly newestFirst: boolean;
  /** Sorted by name. */
  readonly queues: readonly string[];
  /** The JSON that `luaFilter` writes. */
  readonly filter: string;
  /** Bounds of the score, both included. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** true: `describe` is not called, so that jobs come as ids and scores only. */
  readonly idsOnly?: boolean;
}

/** Work that one call may do, in records of 1.5 kB: some 6 ms. */
const WORK = 1500;
/** Ids that one call may pass when records are not read, in about the same time. */
const IDS = 5000;

/**
 * One bounded pass of a scan over `delayed` of several queues at once, in the order of their scores.
 * KEYS  queue prefixes ("bq:default:"), sorted
 * ARGV  1 filter  2 "1" = newest first  3-5 position: score, number of the queue (between two when it is not in
 *       KEYS), id; or ""  6 skip  7 limit  8 "1" = counting  9 work  10 ids  11 "1" = ids only  12 score at which the
 *       scan ends, or ""
 * reply { matched, scanned, "1" when done, score, queue number and id of the last one seen, then per job: queue number,
 *         id, score, and the three values that `describe` gives }
 * @param describe Lua: `describe(text, id, p)` for the record, false without one, and the key prefix of the queue.
 */
export function scanScript(describe: string): RedisScript {
  return new RedisScript(`
local call = redis.call
local F = cjson.decode(ARGV[1])
${FILTER_LUA}
${describe}
local NEWEST, COUNTING, BARE = ARGV[2] == '1', ARGV[8] == '1', ARGV[11] == '1'
local score, number, after = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local last = tonumber(ARGV[12])
local skip, limit, budget, ids = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[9]), tonumber(ARGV[10])
local range = NEWEST and 'zrevrange' or 'zrange'
local buffered = math.max(20, math.ceil(400 / #KEYS))

-- Compares bytes, as Redis does: Lua's own comparison depends on the locale.
local function before(one, other)
  for i = 1, math.min(#one, #other) do
    local x, y = one:byte(i), other:byte(i)
    if x ~= y then return x < y end
  end
  return #one < #other
end

local function isAfter(q, itsScore, itsId)
  if itsScore ~= score then return (itsScore < score) == NEWEST end
  if q ~= number then return q > number end
  return itsId ~= after and before(itsId, after) == NEWEST
end

-- Returns the first rank after the position.
local function start(q, key)
  local low, high = 0, score and call('zcard', key) or 0
  while low < high do
    local middle = math.floor((low + high) / 2)
    local one = call(range, key, middle, middle, 'withscores')
    if isAfter(q, tonumber(one[2]), one[1]) then high = middle else low = middle + 1 end
  end
  return low
end

local sign = NEWEST and -1 or 1
local trustIds = F.trustIds
local function fill(head)
  local items = call(range, head.key, head.rank, head.rank + buffered - 1, 'withscores')
  head.items, head.at, head.rank = items, 1, head.rank + buffered
  head.order = items[2] and sign * items[2] or math.huge
end

local heads = {}
for q, p in ipairs(KEYS) do
  heads[q] = { key = p..'delayed', jobs = p..'jobs', rank = start(q, p..'delayed') }
  fill(heads[q])
end

local out, matched, scanned, done = {}, 0, 0, '0'
local enough = COUNTING and math.huge or skip + limit
local lastId, lastScore, lastNumber = '', '', ''
while true do
  local head, best = heads[1], 1
  for q = 2, #heads do
    if heads[q].order < head.order then head, best = heads[q], q end
  end
  local items, at = head.items, head.at
  local id = items[at]
  local its = last and tonumber(items[at + 1])
  if not id or last and (NEWEST and its < last or not NEWEST and its > last) then done = '1'; break end
  if work >= budget or scanned >= ids or matched >= enough then break end
  lastId, lastScore, lastNumber = id, items[at + 1], best
  if items[at + 3] then head.at, head.order = at + 2, sign * items[at + 3] else fill(head) end
  scanned = scanned + 1
  local isOurs = trustIds and #id == 36 and find(id, '^%x+%-%x+%-%x+%-%x+%-%x+$')
  local met, text = isOurs and F.retrying, nil
  if not isOurs then
    text = call('hget', head.jobs, id)
    met = matches(id, text)
  end
  if met then
    matched = matched + 1
    if matched > skip and matched <= skip + limit then
      if BARE then text = nil
      elseif text == nil then text = call('hget', head.jobs, id); work = work + 1 + #(text or '') / 1500 end
      local one, two, three = '', '', ''
      if not BARE then one, two, three = describe(text, id, KEYS[best]) end
      for _, value in ipairs({ best, id, lastScore, one, two, three }) do out[#out + 1] = value end
    end
  end
end
local reply = { matched, scanned, done, lastScore, lastNumber, lastId }
for _, value in ipairs(out) do reply[#reply + 1] = value end
return reply`);
}

interface ScanChunk {
  readonly matched: number;
  readonly scanned: number;
  readonly done: boolean;
  readonly position: ScanPosition | undefined;
  /** Six values for each job, in the order that `foundJobs` reads. */
  readonly values: readonly (string | number)[];
}

export async function runScan(
  script: RedisScript,
  client: RedisClient,
  scan: Scan,
  step: ScanStep<ScanPosition>,
): Promise<ScanChunk> {
  const { newestFirst, queues, filter, since, until, idsOnly = false } = scan;
  if (queues.length === 0) return { matched: 0, scanned: 0, done: true, position: step.after, values: [] };
  const { skip, limit, counting } = step;
  const [first, last] = newestFirst ? [until, since] : [since, until];
  const after = step.after ?? (first === undefined ? undefined : { score: first, queue: '', id: '' });
  const position = after ? [String(after.score), queueNumber(queues, after.queue), after.id] : ['', '', ''];
  const numbers = [skip, limit, counting ? 1 : 0, WORK, IDS, idsOnly ? 1 : 0, last ?? ''].map(String);
  const args = [filter, newestFirst ? '1' : '0', ...position, ...numbers];
  const reply = (await script.run(client, queues.map(keyPrefix), args)) as (string | number)[];
  const [matched, scanned, done, score, queue, id] = reply;
  return {
    matched: Number(matched),
    scanned: Number(scanned),
    done: done === '1',
    position: id ? { score: Number(score), queue: queues[Number(queue) - 1] ?? '', id: String(id) } : after,
    values: reply.slice(6),
  };
}

function queueNumber(queues: readonly string[], queue: string): string {
  const index = queues.indexOf(queue);
  return String(index >= 0 ? index + 1 : queues.filter((name) => name < queue).length + 0.5);
}
