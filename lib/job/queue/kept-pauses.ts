import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { queueKey } from '../redis/keys';
import { answerWithin, RedisScript } from '../redis/redis-script';
import { type Pause, writePause } from './pause-note';

const ANSWER_MS = 5000;

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
