import type { Knex } from 'knex';

/** The count ends here, lest it take long. */
const MOST_COUNTED = 10_000;

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
       select run_at from job_outbox where dispatched_at is null and run_at <= clock_timestamp()
       order by run_at limit ?
     )
     select ceil(extract(epoch from clock_timestamp() - min(run_at)) * 1000)::text as ms, count(*)::int as size from due`,
    [MOST_COUNTED],
  );
  return { latencyMs: Number(rows[0]?.ms ?? 0), size: rows[0]?.size ?? 0 };
}
