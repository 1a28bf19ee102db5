import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { readPayload, readRecord, readyAt } from '../record/record';
import { BLOCKED_KEY, keyPrefix, QUEUES_KEY, queueKey, UNWATCHED_KEY, WAKE_CHANNEL } from './keys';

const ANSWER_MS = 5000;
/** An empty queue that nobody has served for this long is removed from the list, ms. */
const FORGOTTEN_AFTER_MS = 10 * 60_000;

/**
 * Lua for `beginsToFill(p, now)`, to be called with the key prefix of a queue that was empty: it lists the queue and
 * wakes processors that do not peek at it. Expects `call`.
 */
export const WAKE_LUA = `
local function beginsToFill(p, now)
  call('zadd', '${QUEUES_KEY}', now, (p:match('^[^:]*:(.*):$')))
  if call('sismember', '${UNWATCHED_KEY}', p) == 1 then call('publish', '${WAKE_CHANNEL}', p) end
end
`;

/** @returns the names, sorted, of queues that have jobs or are served, or were so within the last ten minutes. */
export async function queueNames(client: RedisClient): Promise<string[]> {
  const names = await answerWithin(ANSWER_MS, client.zRange(QUEUES_KEY, 0, -1));
  return names.sort();
}

/** @returns the configured queues, in their order, then all others, by name. @throws when Redis does not answer. */
export async function knownQueues(client: RedisClient, configured: readonly string[]): Promise<string[]> {
  return [...new Set([...configured, ...(await queueNames(client))])];
}

// KEYS  1 queues, then queue prefixes
// ARGV  1 remove those last served before (ms), then their names
const FORGET = new RedisScript(`
local call = redis.call
for n = 2, #ARGV do
  local p, noted = KEYS[n], tonumber(call('zscore', KEYS[1], ARGV[n]) or 0)
  if noted < tonumber(ARGV[1]) and call('exists', p..'jobs', p..'finished', p..'recent', p..'paused', p..'dropped') == 0 then
    call('zrem', KEYS[1], ARGV[n])
  end
end`);

/** Removes queues from the list that are empty and have not been served for ten minutes. */
export async function forgetIdleQueues(client: RedisClient, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const before = String(Date.now() - FORGOTTEN_AFTER_MS);
  await FORGET.run(client, [QUEUES_KEY, ...names.map(keyPrefix)], [before, ...names]);
}

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

// KEYS  queue prefixes
// reply for each: waiting, active, blocked, delayed, the value of `paused` or "", the record of the next job or "";
//       then the time, ms
const SCRIPT = new RedisScript(`
local call, out, blocked = redis.call, {}, {}
for _, key in ipairs(call('smembers', '${BLOCKED_KEY}')) do
  local p = key:match('^([^:]*:[^:]*:)blocked:')
  if p then blocked[p] = (blocked[p] or 0) + call('llen', key) end
end
for _, p in ipairs(KEYS) do
  local id = call('lindex', p..'offered', -1) or call('lindex', p..'waiting', -1)
  for _, value in ipairs({
    call('llen', p..'waiting') + call('llen', p..'offered'), call('llen', p..'active'), blocked[p] or 0, call('zcard', p..'delayed'),
    call('get', p..'paused') or '', id and call('hget', p..'jobs', id) or ''
  }) do out[#out + 1] = value end
end
local time = call('time')
out[#out + 1] = time[1] * 1000 + math.floor(time[2] / 1000)
return out`);

const FIELDS = 6;

/** Reads the status of all these queues in one script call. @throws when Redis does not answer. */
export async function readQueues(client: RedisClient, names: readonly string[]): Promise<QueueStatus[]> {
  if (names.length === 0) return [];
  const reply = (await SCRIPT.run(client, names.map(keyPrefix), [])) as (number | string)[];
  const now = Number(reply.at(-1));
  return names.map((name, index) => {
    const fields = reply.slice(index * FIELDS, (index + 1) * FIELDS);
    const [waiting = 0, active = 0, blocked = 0, delayed = 0] = fields.slice(0, 4).map(Number);
    const [paused = '', next = ''] = fields.slice(4).map(String);
    return {
      name,
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

/** @returns the text that Redis holds in `paused` of a queue. */
export function writePause({ since, by }: Pause): string {
  return `${since.getTime()} ${by}`;
}

/** @param now ms since 1970; used when the text, which others may have written, holds no time. */
export function readPause(note: string, now: number): Pause {
  const [, since, by] = /^(\d{1,15}) (.+)$/s.exec(note) ?? [];
  return { since: new Date(Number(since ?? now)), by: by ?? 'unknown' };
}

export async function keepPause(knex: Knex, queue: string, { since, by }: Pause): Promise<void> {
  await knex.raw(
    `insert into job_pauses (queue, paused_at, paused_by) values (?, ?::timestamptz, ?)
     on conflict (queue) do update set paused_at = excluded.paused_at, paused_by = excluded.paused_by`,
    [queue, since.toISOString(), by],
  );
}

export async function forgetPause(knex: Knex, queue: string): Promise<void> {
  await knex.raw('delete from job_pauses where queue = ?', [queue]);
}

/** @returns how many dead jobs of a queue were dropped while Postgres was away, and resets that counter. */
export async function takeDropped(client: RedisClient, queue: string): Promise<number> {
  return Number((await answerWithin(ANSWER_MS, client.getDel(queueKey(queue, 'dropped')))) ?? 0);
}

// KEYS 1 `paused` of a queue   ARGV 1 the text that is to be deleted
const TAKE_BACK = new RedisScript(`
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0`);

/**
 * Pauses queues again whose pauses Redis has lost. An operator who resumes one meanwhile deletes its row first; then
 * the pause is undone.
 * @returns the names of the queues that were paused again.
 */
export async function restorePauses(knex: Knex, redis: RedisClient): Promise<readonly string[]> {
  const restored: { readonly key: string; readonly note: string; readonly queue: string }[] = [];
  for (const [queue, pause] of await keptPauses(knex)) {
    const [key, note] = [queueKey(queue, 'paused'), writePause(pause)];
    if (await answerWithin(ANSWER_MS, redis.set(key, note, { condition: 'NX' }))) restored.push({ queue, key, note });
  }
  if (restored.length === 0) return [];
  const kept = await keptPauses(knex);
  for (const { key, note } of restored.filter(({ queue }) => !kept.has(queue)))
    await TAKE_BACK.run(redis, [key], [note]);
  return restored.map(({ queue }) => queue).filter((queue) => kept.has(queue));
}

async function keptPauses(knex: Knex): Promise<ReadonlyMap<string, Pause>> {
  const { rows } = await knex.raw<{ rows: { queue: string; since: Date; by: string }[] }>(
    'select queue, paused_at as since, paused_by as by from job_pauses order by queue',
  );
  return new Map(rows.map(({ queue, ...pause }) => [queue, pause]));
}
