import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { NewJobRow } from './job-row';

/** Maximum number of attempts to claim a key whose holder was gone when it was looked up. */
const MAX_TRIES = 10;

/** Inserts rows whose keys are free. @returns their ids. */
type InsertUnclaimed = (knex: Knex, rows: readonly NewJobRow[]) => Promise<readonly string[]>;

/**
 * Inserts unique jobs, except those whose key another job holds. A key belongs to a row until the row is deleted or gives it
 * up; a retry keeps it. So a rollback frees it, and Postgres alone decides.
 * @returns for each row its id → the id of the key's holder. Of several rows with one key the first may become the holder.
 * @throws Error when a claim changes hands ten times meanwhile.
 */
export async function claimKeys(
  knex: Knex,
  rows: readonly NewJobRow[],
  insert: InsertUnclaimed,
): Promise<ReadonlyMap<string, string>> {
  /** The claimant of each key: of several rows in one bulk, the first. */
  const claimants = new Map<string, NewJobRow>();
  for (const row of rows) if (!claimants.has(uniqueKey(row))) claimants.set(uniqueKey(row), row);
  const holders = new Map([...claimants].map(([key, row]) => [key, row.id]));
  let wanted = [...claimants.values()];
  for (let tries = 0; wanted.length > 0; tries++) {
    if (tries === MAX_TRIES)
      throw new Error(`the claim of a unique job changed hands ${MAX_TRIES} times within one enqueue`);
    const inserted = new Set(await insert(knex, wanted));
    const refused = wanted.filter((row) => !inserted.has(row.id));
    const held = refused.length > 0 ? await findHolders(knex, refused.map(uniqueKey)) : new Map<string, string>();
    for (const [key, holder] of held) holders.set(key, holder);
    // The holder's row is gone, or its claim has expired. So the key is free by now.
    wanted = refused.filter((row) => !held.has(uniqueKey(row)));
  }
  return new Map(rows.map((row) => [row.id, holders.get(uniqueKey(row)) ?? row.id]));
}

/** Ends the claim of a job with `until: 'executing'` when its run begins, so that the next of its kind may be enqueued. */
export async function releaseUnique(knex: Knex, id: string): Promise<void> {
  await knex.raw(
    `update ${TABLES.jobs} set unique_key = null, unique_until = null where id = ?::uuid and unique_key is not null`,
    [id],
  );
}

/** Releases claims whose time, counted from `run_at`, is over. @returns the ids of the jobs that hold the others, by key. */
async function findHolders(knex: Knex, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await knex.raw<{ rows: { readonly id: string; readonly key: string; readonly over: boolean }[] }>(
    `select id, unique_key as key, unique_until <= clock_timestamp() as over
     from ${TABLES.jobs} where unique_key = any(?::text[])`,
    [[...keys]],
  );
  const over = rows.filter((row) => row.over).map((row) => row.key);
  if (over.length > 0) {
    await knex.raw(
      `update ${TABLES.jobs} set unique_key = null, unique_until = null
       where unique_key = any(?::text[]) and unique_until <= clock_timestamp()`,
      [over],
    );
  }
  return new Map(rows.filter((row) => !row.over).map((row) => [row.key, row.id]));
}

function uniqueKey(row: NewJobRow): string {
  return row.unique?.key ?? '';
}
