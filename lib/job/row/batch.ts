import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { BatchEndedError, type NewBatch } from '../definition/batch';
import type { NewJobRow } from './job-row';

/** Batches that one statement deletes. */
const MAX_ROWS = 1000;
/** An ended batch is kept for this long; one with dead jobs for as long as they may be dead, days. */
const ENDED_DAYS = 7;
const DEAD_DAYS = 180;

/** @throws BatchEndedError if its parent has ended. */
export async function createBatch(
  knex: Knex,
  { id, parentId, description, tags, callbacks }: NewBatch<NewJobRow>,
): Promise<void> {
  // The lock on the parent keeps it from ending meanwhile.
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `with parent as materialized (
       select id from ${TABLES.batches} where id = ?::uuid and ended_at is null for update
     )
     insert into ${TABLES.batches} (id, parent_id, description, tags, callbacks)
     select ?::uuid, ?::uuid, ?, ?::text[], ?::json where ?::uuid is null or exists (select from parent)`,
    [
      parentId ?? null,
      id,
      parentId ?? null,
      description,
      [...tags],
      JSON.stringify(callbacks),
      parentId ?? null,
    ] as unknown as Knex.RawBinding[],
  );
  if (rowCount === 0) throw new BatchEndedError(parentId ?? id);
}

/**
 * Counts jobs that were inserted in the same transaction. A batch that has ended meanwhile refuses them, so that the transaction
 * has to be rolled back; one that ends later has seen them.
 * @throws BatchEndedError.
 */
export async function countAdded(trx: Knex, added: ReadonlyMap<string, number>): Promise<void> {
  // In one order, so that two that add to the same batches do not deadlock.
  for (const [id, count] of [...added].sort(([one], [other]) => (one < other ? -1 : 1))) {
    const { rowCount } = await trx.raw<{ rowCount: number }>(
      `update ${TABLES.batches} set total = total + ?, filled_at = clock_timestamp() where id = ?::uuid and ended_at is null`,
      [count, id],
    );
    if (rowCount === 0) throw new BatchEndedError(id);
  }
}

export async function sealBatch(knex: Knex, id: string): Promise<void> {
  await knex.raw(
    `update ${TABLES.batches} set sealed_at = clock_timestamp() where id = ?::uuid and sealed_at is null`,
    [id],
  );
}

/**
 * Ends a batch, and those within, without callbacks. @returns the ids of all that are cancelled now. Those that were before are
 * among them: if the process died before it had cancelled their jobs, it can be done again.
 */
export async function endBatch(knex: Knex, id: string): Promise<string[]> {
  if (!knex.isTransaction) return knex.transaction((trx) => endBatch(trx, id));
  const ended: string[] = [];
  // From the outside in, as each waits for those who create a batch within it.
  for (let family = [id]; family.length > 0; ) {
    const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
      `update ${TABLES.batches} set outcome = 'cancelled', ended_at = coalesce(ended_at, clock_timestamp()),
         completed_at = coalesce(completed_at, clock_timestamp()), sealed_at = coalesce(sealed_at, clock_timestamp())
       where id = any(?::uuid[]) and (ended_at is null or outcome = 'cancelled') returning id`,
      [family] as unknown as Knex.RawBinding[],
    );
    const ids = rows.map((row) => row.id);
    ended.push(...ids);
    const within = await knex.raw<{ rows: { readonly id: string }[] }>(
      `select id from ${TABLES.batches} where parent_id = any(?::uuid[])`,
      [ids] as unknown as Knex.RawBinding[],
    );
    family = within.rows.map((row) => row.id);
  }
  return ended;
}

/** A batch whose filling has stopped, since its process has died or has forgotten it. */
export interface UnsealedBatch {
  readonly id: string;
  readonly description: string;
}

/** @returns batches to which nothing was added for an hour although they are open to it, each once. */
export async function reportUnsealed(knex: Knex): Promise<readonly UnsealedBatch[]> {
  const { rows } = await knex.raw<{ rows: UnsealedBatch[] }>(
    `update ${TABLES.batches} set reported_at = clock_timestamp()
     where ended_at is null and sealed_at is null and reported_at is null and filled_at < clock_timestamp() - interval '1 hour'
     returning id, description`,
  );
  return rows;
}

/** Deletes batches that ended long ago. A batch within another stays until that has ended. */
export async function pruneBatches(knex: Knex): Promise<void> {
  await knex.raw(
    `delete from ${TABLES.batches} where id in (
       select id from ${TABLES.batches} as batch
       where coalesce(ended_at, completed_at + interval '${DEAD_DAYS - ENDED_DAYS} days') < clock_timestamp() - interval '${ENDED_DAYS} days'
         and not exists (select from ${TABLES.batches} as parent where parent.id = batch.parent_id and parent.ended_at is null)
       limit ${MAX_ROWS}
     )`,
  );
}
