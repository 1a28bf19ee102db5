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

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Only such ids are in the outbox: plain bee-queue producers have others. */
export function isUuid(id: string): boolean {
  return UUID.test(id);
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
