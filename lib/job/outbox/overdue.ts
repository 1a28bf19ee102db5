import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { OutboxNotifier } from './insert';

/** A relay that has been notified has dispatched a row by then, ms, unless it is behind, or its queue is full. */
const OVERDUE_MS = 3000;

/**
 * Notifies the relays when a row has been due for 3 s: plain SQL may have inserted it, or changed its time, and have notified
 * nobody, so that it would wait for the poll of an idle relay, which is rare. Whoever asks how all is has this look, so that
 * the answer does not stay wrong.
 * @param knex with a timeout, since the look waits while somebody has locked the outbox, as VACUUM FULL does.
 * @returns whether a row has been due for so long. @throws errors of Postgres.
 */
export async function lookForOverdue(knex: Knex, redis: RedisClient): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: { readonly overdue: boolean | null }[] }>(
    `select min(run_at) < clock_timestamp() - ? * interval '1 millisecond' as overdue
     from ${TABLES.outbox} where dispatched_at is null`,
    [OVERDUE_MS],
  );
  const overdue = rows[0]?.overdue === true;
  if (overdue) new OutboxNotifier(knex, redis).inserted(knex);
  return overdue;
}
