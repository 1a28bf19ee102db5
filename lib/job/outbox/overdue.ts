import type { Knex } from 'knex';

/** The count ends here, lest it take long. */
const MOST_COUNTED = 10_000;
/** Rows per DELETE. */
const CHUNK = 1000;

/** Rows that are due and not yet on their queues. */
export interface Overdue {
  /** How long the oldest has been due, ms; 0 when there is none. */
  readonly latencyMs: number;
  /** At most 10,000 are counted. */
  readonly size: number;
}

/** How far the relays are behind, by the database's clock. */
export async function overdueRows(knex: Knex): Promise<Overdue> {
  const { rows } = await knex.raw<{ rows: { readonly ms: string | null; readonly size: number }[] }>(
    `with due as (
       select run_at from job_outbox where dispatched_at is null and run_at <= (select clock_timestamp())
       order by run_at limit ?
     )
     select ceil(extract(epoch from clock_timestamp() - min(run_at)) * 1000)::text as ms, count(*)::int as size from due`,
    [MOST_COUNTED],
  );
  return { latencyMs: Number(rows[0]?.ms ?? 0), size: rows[0]?.size ?? 0 };
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
