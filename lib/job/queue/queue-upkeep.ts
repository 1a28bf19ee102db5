import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { BLOCKED_KEY, keyPrefix, NAMESPACE_LUA, QUEUES_KEY, queueKey } from './keys';
import type { Pause } from './queue-status';

const ANSWER_MS = 5000;
/** An empty queue that no processor has served for this long is removed from the list, ms. */
const FORGOTTEN_AFTER_MS = 10 * 60_000;

// KEYS  1 queues, then queue prefixes
// ARGV  1 remove those last served before (ms), then their names
const FORGET = new RedisScript(`
local call = redis.call
for n = 2, #ARGV do
  local p, noted = KEYS[n], tonumber(call('zscore', KEYS[1], ARGV[n]) or 0)
  if noted < tonumber(ARGV[1]) and call('exists', p..'jobs', p..'ended', p..'tombstones', p..'paused', p..'dropped') == 0 then
    call('zrem', KEYS[1], ARGV[n])
  end
end`);

/** Removes queues from the list that are empty and have not been served for ten minutes. */
export async function forgetIdleQueues(client: RedisClient, names: readonly string[]): Promise<void> {
  const before = String(Date.now() - FORGOTTEN_AFTER_MS);
  if (names.length > 0) await FORGET.run(client, [QUEUES_KEY, ...names.map(keyPrefix)], [before, ...names]);
}

/** Resets the counter of dead jobs that were dropped while Postgres was unavailable. @returns how many there were. */
export async function takeDropped(client: RedisClient, queue: string): Promise<number> {
  return Number((await answerWithin(ANSWER_MS, client.getDel(queueKey(queue, 'dropped')))) ?? 0);
}

/** @returns the text that Redis holds in `paused` of a queue. */
export function writePause({ since, by }: Pause): string {
  return `${since.getTime()} ${by}`;
}

export async function keepPause(knex: Knex, queue: string, { since, by }: Pause): Promise<void> {
  await knex.raw(
    `insert into ${TABLES.pauses} (queue, paused_at, paused_by) values (?, ?::timestamptz, ?)
     on conflict (queue) do update set paused_at = excluded.paused_at, paused_by = excluded.paused_by`,
    [queue, since.toISOString(), by],
  );
}

export async function forgetPause(knex: Knex, queue: string): Promise<void> {
  await knex.raw(`delete from ${TABLES.pauses} where queue = ?`, [queue]);
}

// KEYS 1 `paused` of a queue   ARGV 1 the text that is to be deleted
const TAKE_BACK = new RedisScript(`
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0`);

/**
 * Pauses queues again whose pauses Redis has lost. An operator who resumes one meanwhile deletes its row first; in that
 * case its pause is taken back.
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
    `select queue, paused_at as since, paused_by as by from ${TABLES.pauses} order by queue`,
  );
  return new Map(rows.map(({ queue, ...pause }) => [queue, pause]));
}

// Every record of a queue is in one of these: `waiting`, `offered`, `active`, `blocked:…`, `delayed`, `dead` (until it
// is handed over), or `succeeded` (of plain bee-queue workers). A job that is in none of them would never run.

/** Lua for `blockedKeys()`: the keys of the lists of blocked jobs, by key prefix. Expects `call`. */
export const BLOCKED_LUA = `${NAMESPACE_LUA}
local function blockedKeys()
  local blocked = {}
  for _, key in ipairs(call('smembers', ns..'${BLOCKED_KEY}')) do
    local p = key:match('^([^:]*:[^:]*:)blocked:')
    if p then blocked[p] = blocked[p] or {}; table.insert(blocked[p], key) end
  end
  return blocked
end
`;

/**
 * Compares the number of records of each queue with the number of entries in its lists and sets.
 * KEYS  queue prefixes
 * reply "1" for each queue where they differ, else "0"
 */
const COUNT_SCRIPT = new RedisScript(`
local call, out = redis.call, {}
${BLOCKED_LUA}
local blocked = blockedKeys()
for _, p in ipairs(KEYS) do
  local placed = call('zcard', p..'dead') + call('llen', p..'waiting') + call('llen', p..'offered') + call('llen', p..'active') + call('zcard', p..'delayed') + call('scard', p..'succeeded')
  for _, key in ipairs(blocked[p] or {}) do placed = placed + call('llen', key) end
  out[#out + 1] = placed ~= call('hlen', p..'jobs') and '1' or '0'
end
return table.concat(out)`);

/**
 * Compares counts in one call. @returns those of the queues that may have jobs on no list, since Redis lost a part of
 * its data. @throws when Redis does not answer.
 */
export async function queuesWithStrays(client: RedisClient, queues: readonly string[]): Promise<readonly string[]> {
  if (queues.length === 0) return [];
  const differ = String(await COUNT_SCRIPT.run(client, queues.map(keyPrefix), []));
  return queues.filter((_, index) => differ[index] === '1');
}
