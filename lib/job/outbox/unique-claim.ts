import type { Knex } from 'knex';
import type { NewOutboxRow } from './insert';

/** A holder that is found gone is tried again so often: each time another job was quicker. */
const TRIES = 10;

/** Inserts rows whose keys nobody holds. @returns their ids. */
type InsertUnclaimed = (knex: Knex, rows: readonly NewOutboxRow[]) => Promise<readonly string[]>;

/**
 * Inserts unique jobs, each unless another holds its key. A key belongs to a row until that is deleted or gives it up,
 * so a transaction that rolls back frees it, and nothing but Postgres is asked.
 * @returns id → id of the holder, for the duplicates.
 */
export async function claimKeys(
  knex: Knex,
  rows: readonly NewOutboxRow[],
  insert: InsertUnclaimed,
): Promise<ReadonlyMap<string, string>> {
  /** By key: of several in one bulk the first makes the claim. */
  const claimants = new Map<string, NewOutboxRow>();
  for (const row of rows) if (!claimants.has(keyOf(row))) claimants.set(keyOf(row), row);
  const holders = new Map([...claimants].map(([key, row]) => [key, row.id]));
  let wanted = [...claimants.values()];
  for (let tries = 0; wanted.length > 0; tries++) {
    if (tries === TRIES) throw new Error(`the claim of a unique job changed hands ${TRIES} times within one enqueue`);
    const inserted = new Set(await insert(knex, wanted));
    const refused = wanted.filter((row) => !inserted.has(row.id));
    const held = refused.length > 0 ? await holdersOf(knex, refused.map(keyOf)) : new Map<string, string>();
    for (const [key, holder] of held) holders.set(key, holder);
    // Gone, or over: the key is free by now.
    wanted = refused.filter((row) => !held.has(keyOf(row)));
  }
  return new Map(rows.map((row) => [row.id, holders.get(keyOf(row)) ?? row.id]));
}

/**
 * Ends the claim of a unique job, so that the next of its kind may be enqueued; a job without one is left alone. Its
 * row would end it too, but that is deleted a little after the outcome.
 */
export async function releaseUnique(knex: Knex, id: string): Promise<void> {
  await knex.raw(
    'update job_outbox set unique_key = null, unique_until = null where id = ?::uuid and unique_key is not null',
    [id],
  );
}

/** Claims that are over are released. @returns who holds the others, by key. */
async function holdersOf(knex: Knex, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await knex.raw<{ rows: { readonly id: string; readonly key: string; readonly over: boolean }[] }>(
    `select id, unique_key as key, unique_until <= clock_timestamp() as over
     from job_outbox where unique_key = any(?::text[])`,
    [[...keys]],
  );
  const over = rows.filter((row) => row.over).map((row) => row.key);
  if (over.length > 0) {
    await knex.raw(
      `update job_outbox set unique_key = null, unique_until = null
       where unique_key = any(?::text[]) and unique_until <= clock_timestamp()`,
      [over],
    );
  }
  return new Map(rows.filter((row) => !row.over).map((row) => [row.key, row.id]));
}

function keyOf(row: NewOutboxRow): string {
  return row.unique?.key ?? '';
}
