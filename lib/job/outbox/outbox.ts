import type { Knex } from 'knex';

/** The channel that tells relays of new rows. */
export const CHANNEL = 'job_outbox';
/** What a note on it says that is not of new rows ('') but of recurring jobs. */
export const CRON_NOTICE = 'cron';

export interface OutboxRow {
  readonly id: string;
  readonly queue: string;
  readonly payload: string;
}

/**
 * Takes what is due, oldest first, and marks it dispatched: the caller dispatches before it commits, or rolls back.
 * Rows that another relay has in hand are passed over.
 */
export async function claimDue(trx: Knex.Transaction, limit: number): Promise<OutboxRow[]> {
  const { rows } = await trx.raw<{ rows: (OutboxRow & { readonly due: string })[] }>(
    `with due as (
       select id from job_outbox where dispatched_at is null and run_at <= clock_timestamp()
       order by run_at limit ? for update skip locked
     )
     update job_outbox set dispatched_at = clock_timestamp() from due where job_outbox.id = due.id
     returning job_outbox.id, queue, payload, (extract(epoch from run_at) * 1000000)::bigint::text as due`,
    [limit],
  );
  // UPDATE … RETURNING promises no order.
  return rows.sort((a, b) => Number(a.due) - Number(b.due));
}

/** @returns ms until the next row is due (0 or less: now), by the database's clock; undefined when none waits. */
export async function msUntilDue(knex: Knex): Promise<number | undefined> {
  const { rows } = await knex.raw<{ rows: { readonly ms: string | null }[] }>(
    `select ceil(extract(epoch from min(run_at) - clock_timestamp()) * 1000)::text as ms
     from job_outbox where dispatched_at is null`,
  );
  const ms = rows[0]?.ms ?? null;
  return ms === null ? undefined : Number(ms);
}

/** Deletes rows whose jobs have an outcome. */
export async function deleteRows(knex: Knex, ids: readonly string[]): Promise<void> {
  await knex.raw('delete from job_outbox where id = any(?::uuid[])', [[...ids]]);
}

/** Where a walk over the dispatched rows has come to. */
export interface Cursor {
  readonly dispatchedAt: string;
  readonly id: string;
}

export interface DispatchedRow {
  readonly id: string;
  readonly queue: string;
  readonly dispatched_at: string;
}

/** The next page of rows that Redis should know, in the order of their dispatch. */
export async function dispatchedAfter(
  knex: Knex,
  cursor: Cursor | undefined,
  limit: number,
): Promise<readonly DispatchedRow[]> {
  const { rows } = await knex.raw<{ rows: DispatchedRow[] }>(
    `select id, queue, dispatched_at::text from job_outbox
     where dispatched_at is not null and (dispatched_at, id) > (?::timestamptz, ?::uuid)
     order by dispatched_at, id limit ?`,
    [cursor?.dispatchedAt ?? '-infinity', cursor?.id ?? '00000000-0000-0000-0000-000000000000', limit],
  );
  return rows;
}

/** Offers rows to the relay again. @returns how many still stood as dispatched. */
export async function undispatch(knex: Knex, ids: readonly string[]): Promise<number> {
  const result = await knex.raw<{ rowCount: number }>(
    'update job_outbox set dispatched_at = null where id = any(?::uuid[]) and dispatched_at is not null',
    [[...ids]],
  );
  return result.rowCount;
}
