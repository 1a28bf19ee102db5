import type { Knex } from 'knex';

/** The count ends here, lest it take long. */
const MOST_COUNTED = 10_000;
/** Rows per DELETE. */
const CHUNK = 1000;

/** How many rows are due and not yet on their queues, but for those of some queues; at most 10,000 are counted. */
export async function countOverdue(knex: Knex, except: readonly string[] = []): Promise<number> {
  const { rows } = await knex.raw<{ rows: { readonly size: number }[] }>(
    `select count(*)::int as size from (
       select 1 from job_outbox
       where dispatched_at is null and run_at <= (select clock_timestamp()) and queue <> all(?::text[]) limit ?
     ) as due`,
    [[...except], MOST_COUNTED],
  );
  return rows[0]?.size ?? 0;
}

/** Of these queues how many rows are due and not yet copied; at most 10,000 each are counted. */
export async function overdueByQueue(knex: Knex, queues: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await knex.raw<{ rows: { readonly queue: string; readonly size: number }[] }>(
    `select q.queue, (
       select count(*)::int from (
         select 1 from job_outbox
         where dispatched_at is null and queue = q.queue and run_at <= (select clock_timestamp()) limit ?
       ) as due
     ) as size
     from unnest(?::text[]) as q (queue)`,
    [MOST_COUNTED, [...queues]],
  );
  return new Map(rows.map(({ queue, size }) => [queue, size]));
}

/** Deletes the rows of a queue that are due by now and not yet copied; waits for relays that have some in hand. */
export async function deleteOverdue(knex: Knex, queue: string, onDeleted: (count: number) => void): Promise<void> {
  const { rows: times } = await knex.raw<{ rows: { readonly now: string }[] }>('select clock_timestamp()::text as now');
  for (let deleted = CHUNK; deleted === CHUNK; ) {
    const result = await knex.raw<{ rowCount: number }>(
      `with due as (
         select id from job_outbox where dispatched_at is null and queue = ? and run_at <= ?::timestamptz
         order by run_at limit ? for update
       )
       delete from job_outbox using due where job_outbox.id = due.id`,
      [queue, times[0]?.now ?? '-infinity', CHUNK],
    );
    deleted = result.rowCount;
    onDeleted(deleted);
  }
}

/** The same of one row. @returns false when there is none, or a relay has copied it meanwhile. */
export async function deleteOverdueRow(knex: Knex, queue: string, id: string): Promise<boolean> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `delete from job_outbox
     where id = ?::uuid and queue = ? and dispatched_at is null and run_at <= (select clock_timestamp())`,
    [id, queue],
  );
  return rowCount > 0;
}
