import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { readPayload, readRecord, readyAt } from '../record/record';
import { BLOCKED_KEY, keyPrefix, QUEUES_KEY, queueKey, UNWATCHED_KEY, WAKE_CHANNEL } from './keys';

const ANSWER_MS = 5000;
/** An empty queue that nobody has served for this long is forgotten, ms. */
const FORGOTTEN_AFTER_MS = 10 * 60_000;

/**
 * Lua: `beginsToFill(p, now)`, for the key prefix of a queue that was empty, puts it on the list of those that exist and
 * wakes processors that do not wait for its jobs; expects `call`.
 */
export const WAKE_LUA = `
local function beginsToFill(p, now)
  call('zadd', '${QUEUES_KEY}', now, (p:match('^[^:]*:(.*):$')))
  if call('sismember', '${UNWATCHED_KEY}', p) == 1 then call('publish', '${WAKE_CHANNEL}', p) end
end
`;

/** Queues that have jobs, are served, or were so a few minutes ago, by name: whoever enqueued, whoever serves them. */
export async function queueNames(client: RedisClient): Promise<string[]> {
  const names = await answerWithin(ANSWER_MS, client.zRange(QUEUES_KEY, 0, -1));
  return names.sort();
}

/** Those that are configured, in their order, then all others that exist, by name. @throws when Redis does not answer. */
export async function knownQueues(client: RedisClient, configured: readonly string[]): Promise<string[]> {
  return [...new Set([...configured, ...(await queueNames(client))])];
}

// KEYS  1 queues, then queue prefixes
// ARGV  1 forget those noted before (ms), then their names
const FORGET = new RedisScript(`
local call = redis.call
for n = 2, #ARGV do
  local p, noted = KEYS[n], tonumber(call('zscore', KEYS[1], ARGV[n]) or 0)
  if noted < tonumber(ARGV[1]) and call('exists', p..'jobs', p..'finished', p..'recent', p..'paused', p..'dropped') == 0 then
    call('zrem', KEYS[1], ARGV[n])
  end
end`);

/** Takes queues off the list that have been empty, and not served, for minutes. */
export async function forgetIdleQueues(client: RedisClient, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const before = String(Date.now() - FORGOTTEN_AFTER_MS);
  await FORGET.run(client, [QUEUES_KEY, ...names.map(keyPrefix)], [before, ...names]);
}

/** What Redis tells of a queue. */
export interface QueueStatus {
  readonly name: string;
  /** Jobs that wait to be fetched. */
  readonly waiting: number;
  readonly active: number;
  /** Jobs set aside while as many of their class run as may; they go first when there is a place. */
  readonly blocked: number;
  /** Retries that are not due yet, and what plain producers delayed. */
  readonly delayed: number;
  /** How long the job that is next has waited since it could have run, ms; 0 when none waits or its record is unreadable. */
  readonly latencyMs: number;
  /** Class of the job that is next; undefined when none waits or its record is unreadable. */
  readonly next: string | undefined;
  /** undefined: it is not paused. */
  readonly paused: Pause | undefined;
}

// KEYS  queue prefixes
// reply for each: waiting, active, blocked, delayed, what `paused` holds or "", the record of the one that is next or
//       ""; then the time, ms
const SCRIPT = new RedisScript(`
local call, out, blocked = redis.call, {}, {}
for _, key in ipairs(call('smembers', '${BLOCKED_KEY}')) do
  local p = key:match('^([^:]*:[^:]*:)blocked:')
  if p then blocked[p] = (blocked[p] or 0) + call('llen', key) end
end
for _, p in ipairs(KEYS) do
  local id = call('lindex', p..'waiting', -1)
  for _, value in ipairs({
    call('llen', p..'waiting'), call('llen', p..'active'), blocked[p] or 0, call('zcard', p..'delayed'),
    call('get', p..'paused') or '', id and call('hget', p..'jobs', id) or ''
  }) do out[#out + 1] = value end
end
local time = call('time')
out[#out + 1] = time[1] * 1000 + math.floor(time[2] / 1000)
return out`);

const FIELDS = 6;

/** One script call for all of them. */
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

/** Since when a queue is paused, and by whom. */
export interface Pause {
  readonly since: Date;
  readonly by: string;
}

/** What Redis holds in `paused` of a queue. */
export function writePause({ since, by }: Pause): string {
  return `${since.getTime()} ${by}`;
}

/** @param now stands in for a time that somebody else's note does not tell, ms since 1970. */
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

/** How many dead jobs of a queue had to make room while Postgres was away, since it was last asked for, by whomever. */
export async function takeDropped(client: RedisClient, queue: string): Promise<number> {
  return Number((await answerWithin(ANSWER_MS, client.getDel(queueKey(queue, 'dropped')))) ?? 0);
}

// KEYS 1 `paused` of a queue   ARGV 1 the note that is to go
const TAKE_BACK = new RedisScript(`
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0`);

/**
 * Pauses queues again that Redis has lost the pauses of. Who resumes one meanwhile has deleted its row before: then the
 * pause is taken back.
 * @returns their names.
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
