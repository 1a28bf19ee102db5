import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { OutboxNotifier } from './insert';

/** Whoever has locked the outbox, such as VACUUM FULL, keeps a look waiting for this long at most, ms, on a connection of the pool. */
const LOCK_TIMEOUT_MS = 100;
/** A relay that has been notified has dispatched a row by then, ms, unless it is behind, or its queue is full. */
const OVERDUE_MS = 3000;

/**
 * Notifies the relays when a row has been due for 3 s: plain SQL may have inserted it, or changed its time, and have notified
 * nobody, so that it would wait for the poll of an idle relay, which is rare. Whoever asks how all is has this look, so that
 * the answer does not stay wrong.
 * @returns whether a row has been due for so long. @throws errors of Postgres, also while somebody has locked the outbox.
 */
export async function lookForOverdue(knex: Knex, redis: RedisClient): Promise<boolean> {
  const results = await knex.raw<readonly { readonly rows: readonly { readonly overdue?: boolean | null }[] }[]>(
    `set local lock_timeout = ${LOCK_TIMEOUT_MS};
     select min(run_at) < clock_timestamp() - interval '${OVERDUE_MS} milliseconds' as overdue
     from ${TABLES.outbox} where dispatched_at is null`,
  );
  const overdue = results.at(-1)?.rows[0]?.overdue === true;
  if (overdue) new OutboxNotifier(knex, redis).inserted(knex);
  return overdue;
}
