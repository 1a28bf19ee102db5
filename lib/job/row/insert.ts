import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { runPrepared } from '../../model/prepared';
import { chunks } from '../../support/chunks';
import type { NewJobRow } from './job-row';
import { claimKeys } from './unique';

/** Limits of one statement. */
const LIMITS = { bytes: 4_000_000, count: 1000 };

/** The result for one row. */
export interface Inserted {
  /** The row's own id; for a duplicate of a unique job, the id of the job that holds the claim. */
  readonly id: string;
  /** false: it is scheduled for later, held, or a duplicate. */
  readonly ready: boolean;
}

/**
 * Inserts rows, a thousand per round trip. Several statements outside a transaction are run in one.
 * @returns a result for each row, in order.
 */
export async function insertJobs(knex: Knex, rows: readonly NewJobRow[]): Promise<Inserted[]> {
  const [only] = rows;
  if (rows.length === 1 && only && !only.unique) {
    await insertPlain(knex, [only]);
    return [{ id: only.id, ready: isReady(only) }];
  }
  const size = (row: NewJobRow) => row.payload.length;
  const plain = [
    ...chunks(
      rows.filter((row) => !row.unique),
      size,
      LIMITS,
    ),
  ];
  const unique = [
    ...chunks(
      rows.filter((row) => row.unique),
      size,
      LIMITS,
    ),
  ];
  const holders = new Map<string, string>();
  const insert = async (trx: Knex) => {
    for (const chunk of plain) await insertPlain(trx, chunk);
    for (const chunk of unique) {
      for (const [id, holder] of await claimKeys(trx, chunk, insertUnclaimed)) holders.set(id, holder);
    }
  };
  await (plain.length + unique.length > 1 && !knex.isTransaction ? knex.transaction(insert) : insert(knex));
  return rows.map((row) => {
    const holder = holders.get(row.id) ?? row.id;
    return { id: holder, ready: isReady(row) && holder === row.id };
  });
}

/** A job that counts towards a limit is held until it is admitted. So many of one key are never in the way of others. */
function isReady({ runAt, limitKey }: NewJobRow): boolean {
  return !runAt && limitKey === undefined;
}

// Each row is due a microsecond after the one before it, which keeps their order.
const RUN_AT = `coalesce(nullif(at, '')::timestamptz, clock_timestamp() + in_ms * interval '1 millisecond') + n * interval '1 microsecond'`;
const STATE = `case when at <> '' or in_ms > 0 then 'scheduled' when limit_key <> '' then 'held' else 'ready' end`;
/** Tags travel as JSON, since Postgres has no arrays of arrays of different lengths. */
const TAGS = `array(select json_array_elements_text(tags::json))`;

async function insertPlain(knex: Knex, rows: readonly NewJobRow[]): Promise<void> {
  const [only] = rows;
  if (rows.length === 1 && only && isReady(only) && only.batchId === undefined) {
    const { id, queue, class: name, payload, tags } = only;
    const statement = `insert into ${TABLES.jobs} (id, queue, class, payload, tags) values (?, ?, ?, ?, ?::text[])
         on conflict (id) do nothing`;
    const values = [id, queue, name, payload, [...tags]];
    if (!knex.isTransaction) await runPrepared(knex, 'catamount enqueue', statement, values);
    else await knex.raw(statement, values as unknown as Knex.RawBinding[]).options({ isDeferrable: true });
    return;
  }
  await knex.raw(
    `insert into ${TABLES.jobs} (id, queue, class, payload, tags, limit_key, state, run_at, batch_id)
     select id, queue, class, payload::json, ${TAGS}, nullif(limit_key, ''), ${STATE}, ${RUN_AT}, nullif(batch_id, '')::uuid
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[], ?::text[])
       with ordinality as new (id, queue, class, payload, tags, limit_key, at, in_ms, batch_id, n)
     on conflict (id) do nothing`,
    columns(rows),
  );
}

/** @returns the ids of the rows whose keys were free. Waits for an open transaction that has inserted one. */
async function insertUnclaimed(knex: Knex, rows: readonly NewJobRow[]): Promise<readonly string[]> {
  const claims = rows.flatMap(({ unique }) => unique ?? []);
  // Rows are inserted in the order of their keys, so that two bulks that want the same keys do not deadlock.
  const { rows: inserted } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `insert into ${TABLES.jobs} (id, queue, class, payload, tags, limit_key, state, run_at, batch_id, unique_key, unique_until)
     select id, queue, class, payload::json, ${TAGS}, nullif(limit_key, ''), ${STATE}, ${RUN_AT}, nullif(batch_id, '')::uuid, key,
       ${RUN_AT} + nullif(ttl_ms, '')::float8 * interval '1 millisecond'
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[], ?::text[], ?::text[], ?::text[])
       with ordinality as new (id, queue, class, payload, tags, limit_key, at, in_ms, batch_id, key, ttl_ms, n)
     order by key
     on conflict (unique_key) where unique_key is not null do nothing
     returning id`,
    [...columns(rows), claims.map(({ key }) => key), claims.map(({ ttlMs }) => ttlMs?.toString() ?? '')],
  );
  return inserted.map((row) => row.id);
}

function columns(rows: readonly NewJobRow[]): string[][] {
  return [
    rows.map((row) => row.id),
    rows.map((row) => row.queue),
    rows.map((row) => row.class),
    rows.map((row) => row.payload),
    rows.map((row) => JSON.stringify(row.tags)),
    rows.map((row) => row.limitKey ?? ''),
    rows.map(({ runAt }) => (runAt && 'at' in runAt ? runAt.at.toISOString() : '')),
    rows.map(({ runAt }) => String(runAt && 'inMs' in runAt ? runAt.inMs : 0)),
    rows.map((row) => row.batchId ?? ''),
  ];
}
