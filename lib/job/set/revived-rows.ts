import type { Knex } from 'knex';
import { isUuid } from '../outbox/outbox';
import { readRecord } from '../record/record';
import type { FoundJob } from './found-job';
import { durableData, payloadOf } from './rewrites';

/**
 * Gives dead jobs that are about to live again a row in the outbox, as dispatched already: should Redis lose them they
 * are dispatched again. Before they move, so that a crash between the two leaves a row too many and not one too few;
 * the next end of the dead job deletes it.
 * @returns the ids that have one.
 */
export async function insertRevivedRows(knex: Knex, jobs: readonly FoundJob[]): Promise<ReadonlySet<string>> {
  const rows = jobs.flatMap(({ id, queue, text }) => {
    const payload = payloadOf(text);
    // No text of Postgres has a NUL, nor has the name of any class.
    if (!payload || text === undefined || !isUuid(id) || payload.class.includes('\0')) return [];
    return [{ id, queue, class: payload.class, payload: JSON.stringify(durableData(readRecord(text).data)) }];
  });
  if (rows.length === 0) return new Set();
  const column = (name: 'id' | 'queue' | 'class' | 'payload') => rows.map((row) => row[name]);
  // In one order for all: two operators who retry the same jobs would lock each other out else.
  await knex.raw(
    `insert into job_outbox (id, queue, class, payload, dispatched_at)
     select id, queue, class, payload, clock_timestamp()
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[]) as job (id, queue, class, payload)
     order by id
     on conflict (id) do update set dispatched_at = excluded.dispatched_at`,
    [column('id'), column('queue'), column('class'), column('payload')],
  );
  return new Set(rows.map((row) => row.id));
}
