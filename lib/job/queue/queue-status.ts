import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { readPayload, readRecord, readyAt } from '../record/record';
import { BLOCKED_KEY, keyPrefix, NAMESPACE_LUA, QUEUES_KEY } from './keys';

/** The status of a queue in Redis. */
export interface QueueStatus {
  readonly name: string;
  /** Jobs that wait to be fetched. */
  readonly waiting: number;
  readonly active: number;
  /** Jobs set aside while their class is at its limit; they go first when it has a free permit. */
  readonly blocked: number;
  /** Retries that are not due yet, and jobs that plain producers delayed. */
  readonly delayed: number;
  /** Time that the next job has waited since it became ready, ms; 0 when none waits or its record is unreadable. */
  readonly latencyMs: number;
  /** Class of the next job; undefined when none waits or its record is unreadable. */
  readonly next: string | undefined;
  /** undefined when the queue is not paused. */
  readonly paused: Pause | undefined;
}

// KEYS  queue prefixes; at least one, if only for the prefix of all keys
// ARGV  1 'known': all other queues that are known follow, by name
// reply for each: its name, waiting, active, blocked, delayed, the value of `paused` or "", the record of the next job or "";
//       then the time, ms
const SCRIPT = new RedisScript(`
local call, out, blocked = redis.call, {}, {}
${NAMESPACE_LUA}
for _, key in ipairs(call('smembers', ns..'${BLOCKED_KEY}')) do
  local p = key:match('^([^:]*:[^:]*:)blocked:')
  if p then blocked[p] = (blocked[p] or 0) + call('llen', key) end
end
local prefixes, isGiven = {}, {}
for n, p in ipairs(KEYS) do prefixes[n], isGiven[p] = p, true end
if ARGV[1] == 'known' then
  local names = call('zrange', ns..'${QUEUES_KEY}', 0, -1)
  table.sort(names)
  for _, name in ipairs(names) do
    local p = ns..'bq:'..name..':'
    if not isGiven[p] then prefixes[#prefixes + 1] = p end
  end
end
for _, p in ipairs(prefixes) do
  local id = call('lindex', p..'offered', -1) or call('lindex', p..'waiting', -1)
  for _, value in ipairs({
    p:sub(#ns + 4, -2),
    call('llen', p..'waiting') + call('llen', p..'offered'), call('llen', p..'active'), blocked[p] or 0, call('zcard', p..'delayed'),
    call('get', p..'paused') or '', id and call('hget', p..'jobs', id) or ''
  }) do out[#out + 1] = value end
end
local time = call('time')
out[#out + 1] = time[1] * 1000 + math.floor(time[2] / 1000)
return out`);

const FIELDS = 7;

const ANSWER_MS = 5000;

/** @returns the names, sorted, of queues that have jobs or are served, or were so within the last ten minutes. */
export async function queueNames(client: RedisClient): Promise<string[]> {
  return (await answerWithin(ANSWER_MS, client.zRange(QUEUES_KEY, 0, -1))).sort();
}

/** @returns the configured queues, in their order, then all others, by name. @throws when Redis does not answer. */
export async function knownQueues(client: RedisClient, configured: readonly string[]): Promise<string[]> {
  return [...new Set([...configured, ...(await queueNames(client))])];
}

/** Reads the status of these queues in one script call. @throws when Redis does not answer. */
export async function readQueues(client: RedisClient, names: readonly string[]): Promise<readonly QueueStatus[]> {
  return names.length === 0 ? [] : readStatuses(client, names);
}

/** Reads the status of these queues, then of all others that are known. @throws when Redis does not answer. */
export async function readKnownQueues(client: RedisClient, given: readonly string[]): Promise<readonly QueueStatus[]> {
  // The script needs a queue to find the others; no queue has this name.
  const statuses = await readStatuses(client, given.length > 0 ? given : [''], ['known']);
  return statuses.filter(({ name }) => name !== '');
}

async function readStatuses(
  client: RedisClient,
  given: readonly string[],
  args: string[] = [],
): Promise<QueueStatus[]> {
  const reply = (await SCRIPT.run(client, given.map(keyPrefix), args)) as (number | string)[];
  const now = Number(reply.at(-1));
  return Array.from({ length: (reply.length - 1) / FIELDS }, (_, index) => {
    const [name, ...fields] = reply.slice(index * FIELDS, (index + 1) * FIELDS);
    const [waiting = 0, active = 0, blocked = 0, delayed = 0] = fields.slice(0, 4).map(Number);
    const [paused = '', next = ''] = fields.slice(4).map(String);
    return {
      name: String(name),
      waiting,
      active,
      blocked,
      delayed,
      latencyMs: latencyOf(next, now),
      next: classOf(next),
      paused: paused === '' ? undefined : readPause(paused, now),
    };
  });
}

function classOf(text: string): string | undefined {
  try {
    return readPayload(readRecord(text).data).class;
  } catch {
    return undefined;
  }
}

function latencyOf(text: string, now: number): number {
  try {
    return Math.max(0, Math.round(now - (readyAt(readRecord(text).options) ?? now)));
  } catch {
    return 0;
  }
}

/** The time at which a queue was paused, and the operator who paused it. */
export interface Pause {
  readonly since: Date;
  readonly by: string;
}

/** @param now ms since 1970; used when the text, which others may have written, holds no time. */
export function readPause(note: string, now: number): Pause {
  const [, since, by] = /^(\d{1,15}) (.+)$/s.exec(note) ?? [];
  return { since: new Date(Number(since ?? now)), by: by ?? 'unknown' };
}
