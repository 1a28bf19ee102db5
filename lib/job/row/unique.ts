import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { JobState, NewJobRow } from './job-row';

/** Maximum number of attempts to claim a key whose holder was gone when it was looked up. */
const MAX_TRIES = 10;

export interface Claimed {
  readonly id: string;
  readonly key: string;
  readonly state: JobState;
}

/** Inserts the rows that can have their keys. @returns the holders of these keys. */
type Insert = (knex: Knex, rows: readonly NewJobRow[]) => Promise<readonly Claimed[]>;

/**
 * Inserts unique jobs, except those whose key another job holds. A key belongs to a row until the row is deleted or gives it
 * up; a retry keeps it. So a rollback frees it, and Postgres alone decides.
 * @param replaces true: of several rows with one key the last counts, and takes the place of the holder. Default: the first.
 * @returns for each row its id → the key's holder.
 * @throws Error when a claim changes hands ten times meanwhile.
 */
export async function claimKeys(
  knex: Knex,
  rows: readonly NewJobRow[],
  insert: Insert,
  replaces = false,
): Promise<ReadonlyMap<string, Claimed>> {
  const claimants = new Map<string, NewJobRow>();
  for (const row of rows) if (replaces || !claimants.has(uniqueKey(row))) claimants.set(uniqueKey(row), row);
  const holders = new Map<string, Claimed>();
  let wanted = [...claimants.values()];
  for (let tries = 0; wanted.length > 0; tries++) {
    if (tries === MAX_TRIES)
      throw new Error(`the claim of a unique job changed hands ${MAX_TRIES} times within one enqueue`);
    for (const placed of await insert(knex, wanted)) holders.set(placed.key, placed);
    const refused = wanted.filter((row) => !holders.has(uniqueKey(row)));
    const held = replaces || refused.length === 0 ? [] : await findHolders(knex, refused.map(uniqueKey));
    for (const holder of held) holders.set(holder.key, holder);
    // The holder's row is gone, its claim has expired, or it has begun. So the key is free by now, or can be taken.
    wanted = refused.filter((row) => !holders.has(uniqueKey(row)));
  }
  return new Map(
    rows.flatMap((row) => {
      const holder = holders.get(uniqueKey(row));
      return holder ? [[row.id, holder]] : [];
    }),
  );
}

/** @returns the keys of those of these rows that are to be discarded, since the rate of their limit leaves no room now. */
export async function throttledKeys(knex: Knex, rows: readonly NewJobRow[]): Promise<ReadonlySet<string>> {
  const keys = rows.flatMap(({ unique }) => (unique?.isThrottled ? unique.key : []));
  if (keys.length === 0) return new Set();
  const { rows: used } = await knex.raw<{ rows: { readonly key: string }[] }>(
    `select key from ${TABLES.rates} where key = any(?::text[]) and greatest(arrival, held_until) > clock_timestamp()`,
    [keys],
  );
  return new Set(used.map(({ key }) => key));
}

/** Ends the claim of a job with `until: 'executing'` when its run begins, so that the next of its kind may be enqueued. */
export async function releaseUnique(knex: Knex, id: string): Promise<void> {
  await knex.raw(
    `update ${TABLES.jobs} set unique_key = null, unique_until = null where id = ?::uuid and unique_key is not null`,
    [id],
  );
}

/** Releases claims whose time, counted from `run_at`, is over. @returns the jobs that hold the others. */
async function findHolders(knex: Knex, keys: readonly string[]): Promise<readonly Claimed[]> {
  const { rows } = await knex.raw<{ rows: (Claimed & { readonly over: boolean })[] }>(
    `select id, unique_key as key, state, unique_until <= clock_timestamp() as over
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
  return rows.filter((row) => !row.over);
}

export function uniqueKey(row: NewJobRow): string {
  return row.unique?.key ?? '';
}
