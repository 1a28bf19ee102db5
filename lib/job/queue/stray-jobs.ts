import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { WAKE_LUA } from './dispatch';
import { BLOCKED_KEY, keyPrefix, OUTCOME_LUA, PROCESSES, queueKey, withoutNamespace } from './keys';
import { BLOCKED_LUA } from './queue-upkeep';

/**
 * Reads the next records that are in no set; most of them are on a list. A job that a plain bee-queue worker has put
 * into `failed` counts as in none, since it should be dead.
 * KEYS  1 queue prefix
 * ARGV  1 cursor of HSCAN
 * reply the next cursor, the keys of the lists of blocked jobs, then id and when it was enqueued (ms) for each
 */
export const SCAN_SCRIPT = new RedisScript(`
local call, p = redis.call, KEYS[1]
${BLOCKED_LUA}
local scanned = call('hscan', p..'jobs', ARGV[1], 'COUNT', 200)
local out = { scanned[1], blockedKeys()[p] or {} }
for i = 1, #scanned[2], 2 do
  local id = scanned[2][i]
  if not call('zscore', p..'dead', id) and not call('zscore', p..'delayed', id) and call('sismember', p..'succeeded', id) == 0 then
    out[#out + 1] = id
    out[#out + 1] = scanned[2][i + 1]:match('"options":{"timestamp":(%d+)') or '0'
  end
end
return out`);

/** List elements that one call may compare one by one, which takes Redis 3 ms. */
const MOST_COMPARED = 250_000;
/** List elements that one call may read into a Lua table to look up any number of ids, which takes 5 ms. */
const MOST_READ = 10_000;

/**
 * Checks jobs again, and puts those that are on no list where their records say that they belong: into the dead set,
 * `delayed`, or otherwise `waiting`. A job that a process holds is left to it; if that process is not listed, only
 * until the caller is sure that it is gone.
 * KEYS  1 queue prefix
 * ARGV  id, "1" = sure, for each
 * reply a letter for each that was checked, which may not be all: p put back, h held by a process, u held by a process
 *       that is not listed, o in a list or set, or gone
 */
export const PUT_BACK_SCRIPT = new RedisScript(`
local call, p, out = redis.call, KEYS[1], {}
local time = call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
${BLOCKED_LUA}
${WAKE_LUA}
${OUTCOME_LUA}
local lists, total, wanted = blockedKeys()[p] or {}, 0, #ARGV / 2
for _, list in ipairs({ 'waiting', 'offered', 'active' }) do table.insert(lists, p..list) end
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
  if status == 'failed' then return die(p, id, '') end
  local due = math.max(numberOf(record, 'dueAt'), numberOf(record, 'delay'))
  if due > now then
    call('zadd', p..'delayed', due, id)
    if call('zrange', p..'delayed', 0, 0)[1] == id then call('publish', p..'earlierDelayed', due) end
    return
  end
  -- A list of blocked jobs that was missing from the set of lists returns its jobs once it is in the set again.
  local class = record:match('^{"data":{[^{}%[%]]-"class":"([^"\\\\]+)"')
  if class and call('lpos', p..'blocked:'..class, id) then return call('sadd', ns..'${BLOCKED_KEY}', p..'blocked:'..class) end
  if call('lpush', p..'waiting', id) == 1 then beginsToFill(p, now) end
end

for n = 1, wanted do
  local id, sure = ARGV[2 * n - 1], ARGV[2 * n] == '1'
  local record, state = call('hget', p..'jobs', id), 'o'
  if record and not call('zscore', p..'delayed', id) and not call('zscore', p..'dead', id)
    and call('sismember', p..'succeeded', id) == 0 and not isListed(id) then
    local delivery = call('hget', p..'deliveries', id)
    local holder = delivery and delivery:match('^%d+:([^.]+)%.')
    if holder and call('zscore', ns..'${PROCESSES}', holder) then state = 'h'
    elseif holder and not sure then state = 'u'
    else putBack(id, record); state = 'p' end
  end
  out[n] = state
end
return table.concat(out)`);

const ANSWER_MS = 5000;
/** List elements, or candidates, per call. */
const PAGE = 500;
/** Maximum share of time that scans take while there is a mismatch that they cannot repair. */
const WALK_SHARE = 0.05;
/**
 * After this many ms without being listed a process counts as gone, since a living one sends a heartbeat each second.
 */
const UNLISTED_MS = 5000;

export interface StrayJobsOptions {
  readonly redis: RedisClient;
  /** @returns true when this process is running the job. */
  readonly isRunning: (id: string) => boolean;
  readonly onRestored: (queue: string, count: number) => void;
}

/**
 * Finds jobs that have a record but are on no list, since Redis lost a part of its data, and puts them back. The
 * records are scanned in calls of a few ms.
 */
export class StrayJobs {
  private readonly notBefore = new Map<string, number>();
  /** By job id: the time since which it has been held by a process that is not listed. */
  private unlistedSince = new Map<string, number>();

  constructor(private readonly options: StrayJobsOptions) {}

  /** @param queues those that `queuesWithStrays` has named. */
  async check(queues: readonly string[]): Promise<void> {
    for (const queue of queues) {
      const began = performance.now();
      if (began < (this.notBefore.get(queue) ?? 0)) continue;
      let restored = 0;
      try {
        await this.walk(queue, (count) => {
          restored += count;
        });
        const ended = performance.now();
        this.notBefore.set(queue, ended + (ended - began) / WALK_SHARE);
      } finally {
        // Jobs that were put back before Redis failed are reported, too.
        if (restored > 0) this.options.onRestored(queue, restored);
      }
    }
  }

  /** @param onPutBack called with how many were put back by each call. */
  private async walk(queue: string, onPutBack: (count: number) => void): Promise<void> {
    const { enqueuedAt, blockedKeys } = await this.scan(queue);
    // Lists are read after the records, so that few moving jobs look lost; the script checks each again anyway.
    const lists = (['waiting', 'offered', 'active'] as const).map((key) => queueKey(queue, key));
    for (const key of [...blockedKeys, ...lists]) {
      for await (const id of this.elements(key)) enqueuedAt.delete(id);
    }
    const strays = [...enqueuedAt].sort(([, one], [, other]) => one - other).map(([id]) => id);
    const idle = strays.filter((id) => !this.options.isRunning(id));
    await this.putBack(queue, idle, onPutBack);
  }

  private async scan(queue: string): Promise<{ enqueuedAt: Map<string, number>; blockedKeys: readonly string[] }> {
    const enqueuedAt = new Map<string, number>();
    let blockedKeys: readonly string[] = [];
    let cursor = '0';
    do {
      const reply = (await SCAN_SCRIPT.run(this.options.redis, [keyPrefix(queue)], [cursor])) as unknown[];
      const [next, keys, ...pairs] = reply;
      for (let i = 0; i < pairs.length; i += 2) enqueuedAt.set(String(pairs[i]), Number(pairs[i + 1]));
      blockedKeys = (keys as string[]).map(withoutNamespace);
      cursor = String(next);
    } while (cursor !== '0');
    return { enqueuedAt, blockedKeys };
  }

  private async *elements(key: string): AsyncGenerator<string> {
    for (let from = 0; ; from += PAGE) {
      const page = await answerWithin(ANSWER_MS, this.options.redis.lRange(key, from, from + PAGE - 1));
      yield* page;
      if (page.length < PAGE) return;
    }
  }

  private async putBack(queue: string, strays: readonly string[], onPutBack: (count: number) => void): Promise<void> {
    const now = performance.now();
    const unlisted = new Map<string, number>();
    for (let done = 0; done < strays.length; ) {
      const asked = strays.slice(done, done + PAGE);
      const args = asked.flatMap((id) => [id, now - (this.unlistedSince.get(id) ?? now) >= UNLISTED_MS ? '1' : '0']);
      const states = String(await PUT_BACK_SCRIPT.run(this.options.redis, [keyPrefix(queue)], args));
      for (const [index, state] of [...states].entries()) {
        const id = asked[index];
        if (state === 'u' && id !== undefined) unlisted.set(id, this.unlistedSince.get(id) ?? now);
      }
      onPutBack(states.split('p').length - 1);
      done += Math.max(1, states.length);
    }
    this.unlistedSince = unlisted;
  }
}
