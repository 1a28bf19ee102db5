import type { Knex } from 'knex';
import { chunks } from '../enqueue/chunks';
import type { UniqueClaim } from '../enqueue/request';
import type { RunAt } from '../enqueue/run-at';
import type { OutboxRow } from './outbox';
import { claimKeys } from './unique-claim';

/** Of one statement. */
const LIMITS = { bytes: 4_000_000, count: 1000 };

export interface NewOutboxRow extends OutboxRow {
  readonly class: string;
  /** undefined: at once. */
  readonly runAt: RunAt | undefined;
  readonly unique?: UniqueClaim | undefined;
}

/**
 * Inserts in one round trip for a thousand. Without a transaction around it, what needs several statements gets one.
 * @returns for each row the id of the job that is on its way now: its own, or of a duplicate that of the claim's holder.
 */
export async function insertIntoOutbox(knex: Knex, rows: readonly NewOutboxRow[]): Promise<string[]> {
  const [only] = rows;
  if (rows.length === 1 && only && !only.unique) {
    await insertOne(knex, only);
    return [only.id];
  }
  const unique = rows.filter((row) => row.unique);
  const plain = rows.filter((row) => !row.unique);
  const plainChunks = [...chunks(plain, (row) => row.payload.length, LIMITS)];
  const uniqueChunks = [...chunks(unique, (row) => row.payload.length, LIMITS)];
  const holders = new Map<string, string>();
  const insert = async (trx: Knex) => {
    for (const chunk of plainChunks) await insertMany(trx, chunk);
    for (const chunk of uniqueChunks) {
      for (const [id, holder] of await claimKeys(trx, chunk, insertUnclaimed)) holders.set(id, holder);
    }
  };
  await (plainChunks.length + uniqueChunks.length > 1 && !knex.isTransaction ? knex.transaction(insert) : insert(knex));
  return rows.map(({ id }) => holders.get(id) ?? id);
}

async function insertOne(knex: Knex, row: NewOutboxRow): Promise<void> {
  const values = [row.id, row.queue, row.class, row.payload];
  if (!row.runAt) {
    await knex.raw('insert into job_outbox (id, queue, class, payload) values (?, ?, ?, ?)', values);
    return;
  }
  const { inMs, at } = due(row);
  await knex.raw(
    `insert into job_outbox (id, queue, class, payload, run_at)
     values (?, ?, ?, ?, coalesce(?::timestamptz, clock_timestamp() + ? * interval '1 millisecond'))`,
    [...values, at, inMs],
  );
}

// A row's moment is a microsecond after the one before it: that keeps their order.
const RUN_AT = `coalesce(nullif(at, '')::timestamptz, statement_timestamp() + in_ms * interval '1 millisecond') + n * interval '1 microsecond'`;

async function insertMany(knex: Knex, rows: readonly NewOutboxRow[]): Promise<void> {
  await knex.raw(
    `insert into job_outbox (id, queue, class, payload, run_at)
     select id, queue, class, payload, ${RUN_AT}
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[])
       with ordinality as new (id, queue, class, payload, at, in_ms, n)`,
    columns(rows),
  );
}

/** @returns the ids of the rows whose keys nobody held. Waits for a transaction that is about to take one. */
async function insertUnclaimed(knex: Knex, rows: readonly NewOutboxRow[]): Promise<readonly string[]> {
  // In the order of their keys, so that two bulks that want the same ones wait for each other, not both for ever.
  const { rows: inserted } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `insert into job_outbox (id, queue, class, payload, run_at, unique_key, unique_until)
     select id, queue, class, payload, ${RUN_AT}, key, ${RUN_AT} + nullif(ttl_ms, '')::float8 * interval '1 millisecond'
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[], ?::text[], ?::text[])
       with ordinality as new (id, queue, class, payload, at, in_ms, key, ttl_ms, n)
     order by key
     on conflict (unique_key) where unique_key is not null do nothing
     returning id`,
    [...columns(rows), ...claimColumns(rows)],
  );
  return inserted.map((row) => row.id);
}

function columns(rows: readonly NewOutboxRow[]): string[][] {
  const dues = rows.map(due);
  return [
    rows.map((row) => row.id),
    rows.map((row) => row.queue),
    rows.map((row) => row.class),
    rows.map((row) => row.payload),
    dues.map(({ at }) => at ?? ''),
    dues.map(({ inMs }) => String(inMs)),
  ];
}

function claimColumns(rows: readonly NewOutboxRow[]): string[][] {
  const claims = rows.flatMap(({ unique }) => unique ?? []);
  return [claims.map(({ key }) => key), claims.map(({ ttlMs }) => ttlMs?.toString() ?? '')];
}

function due({ runAt }: NewOutboxRow): { readonly inMs: number; readonly at: string | null } {
  if (!runAt) return { inMs: 0, at: null };
  return 'at' in runAt ? { inMs: 0, at: runAt.at.toISOString() } : { inMs: runAt.inMs, at: null };
}
