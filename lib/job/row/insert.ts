import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { runPrepared } from '../../model/prepared';
import { chunks } from '../../support/chunks';
import type { UniqueClaim } from '../definition/job-class';
import { REPLACED } from './cancel';
import type { NewJobRow } from './job-row';
import { type Claimed, claimKeys, throttledKeys, uniqueKey } from './unique';

/** Limits of one statement. */
const LIMITS = { bytes: 4_000_000, count: 1000 };

export interface Inserted {
  /** The row's own id; for a duplicate or a replacement, the id of the job that holds the key. */
  readonly id: string;
  /** replaced: the job that holds the key has its arguments and its time. */
  readonly as: 'new' | 'duplicate' | 'replaced' | 'throttled';
  /** true: it may run at once, and nobody was told of it. */
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
    return [asNew(only)];
  }
  const chunked = (conflict: UniqueClaim['onConflict'] | undefined) => {
    const some = rows.filter(({ unique }) => unique?.onConflict === conflict);
    return [...chunks(some, (row) => row.payload.length, LIMITS)];
  };
  const [plain, discarding, replacing] = [chunked(undefined), chunked('discard'), chunked('replace')];
  const placed = new Map<string, Inserted>();
  const insert = async (trx: Knex) => {
    for (const chunk of plain) await insertPlain(trx, chunk);
    for (const chunk of discarding) {
      const throttled = await throttledKeys(trx, chunk);
      const [late, wanted] = [chunk.filter(isIn(throttled)), chunk.filter((row) => !isIn(throttled)(row))];
      for (const { id } of late) placed.set(id, { id, as: 'throttled', ready: false });
      place(await claimKeys(trx, wanted, insertUnclaimed), 'duplicate');
    }
    for (const chunk of replacing) place(await claimKeys(trx, chunk, insertOrReplace, true), 'replaced');
  };
  const place = (holders: ReadonlyMap<string, Claimed>, as: Inserted['as']) => {
    for (const [own, { id, state }] of holders) {
      // Claims have passed over it while this transaction had it locked.
      const ready = as === 'replaced' && state === 'ready' && knex.isTransaction === true;
      if (own !== id) placed.set(own, { id, as, ready });
    }
  };
  const isSeveral = plain.length + discarding.length + replacing.length > 1;
  await (isSeveral && !knex.isTransaction ? knex.transaction(insert) : insert(knex));
  return rows.map((row) => placed.get(row.id) ?? asNew(row));
}

function asNew(row: NewJobRow): Inserted {
  return { id: row.id, as: 'new', ready: isReady(row) };
}

/**
 * A job that counts towards a limit is held until it is admitted, and one with a priority above 0 until nothing else waits. So many
 * of them are never in the way of others.
 */
function isReady({ runAt, limitKey, priority = 0 }: NewJobRow): boolean {
  return !runAt && limitKey === undefined && priority <= 0;
}

// Each row is due a microsecond after the one before it, which keeps their order.
const RUN_AT = `coalesce(nullif(at, '')::timestamptz, clock_timestamp() + in_ms * interval '1 millisecond') + n * interval '1 microsecond'`;
const STATE = `case when at <> '' or in_ms > 0 then 'scheduled' when limit_key <> '' or priority > 0 then 'held' else 'ready' end`;
/** Tags travel as JSON, since Postgres has no arrays of arrays of different lengths. */
const TAGS = `array(select json_array_elements_text(tags::json))`;

async function insertPlain(knex: Knex, rows: readonly NewJobRow[]): Promise<void> {
  const [only] = rows;
  if (rows.length === 1 && only && isReady(only) && only.batchId === undefined && !only.priority) {
    const { id, queue, class: name, payload, tags } = only;
    const statement = `insert into ${TABLES.jobs} (id, queue, class, payload, tags) values (?, ?, ?, ?, ?::text[])
         on conflict (id) do nothing`;
    const values = [id, queue, name, payload, [...tags]];
    if (!knex.isTransaction) await runPrepared(knex, 'catamount enqueue', statement, values);
    else await knex.raw(statement, values as unknown as Knex.RawBinding[]).options({ isDeferrable: true });
    return;
  }
  await knex.raw(
    `insert into ${TABLES.jobs} (id, queue, class, payload, tags, limit_key, state, run_at, priority, batch_id)
     select id, queue, class, payload::json, ${TAGS}, nullif(limit_key, ''), ${STATE}, ${RUN_AT}, priority, nullif(batch_id, '')::uuid
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[], ?::smallint[], ?::text[])
       with ordinality as new (id, queue, class, payload, tags, limit_key, at, in_ms, priority, batch_id, n)
     on conflict (id) do nothing`,
    columns(rows),
  );
}

const isIn = (keys: ReadonlySet<string>) => (row: NewJobRow) => keys.has(uniqueKey(row));

/** The conflict with the row that holds the key, in `insert … on conflict`. */
const CONFLICT = 'on conflict (unique_key) where unique_key is not null';

/** SQL: inserts rows in the order of their keys, so that two bulks that want the same keys do not deadlock. */
const INSERT_KEYED = (from = '') =>
  `insert into ${TABLES.jobs} (id, queue, class, payload, tags, limit_key, state, run_at, priority, batch_id, unique_key, unique_until)
   select id, queue, class, payload::json, ${TAGS}, nullif(limit_key, ''), ${STATE}, ${RUN_AT}, priority, nullif(batch_id, '')::uuid, key,
     ${RUN_AT} + nullif(ttl_ms, '')::float8 * interval '1 millisecond'
   from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[], ?::smallint[], ?::text[], ?::text[], ?::text[])
     with ordinality as new (id, queue, class, payload, tags, limit_key, at, in_ms, priority, batch_id, key, ttl_ms, n) ${from}
   order by key`;

function keyedColumns(rows: readonly NewJobRow[]): string[][] {
  return [...columns(rows), rows.map(uniqueKey), rows.map(({ unique }) => unique?.ttlMs?.toString() ?? '')];
}

/** Waits for an open transaction that has inserted one of the keys. */
async function insertUnclaimed(knex: Knex, rows: readonly NewJobRow[]): Promise<readonly Claimed[]> {
  const { rows: inserted } = await knex.raw<{ rows: Claimed[] }>(
    `${INSERT_KEYED()} ${CONFLICT} do nothing returning id, unique_key as key, state`,
    keyedColumns(rows),
  );
  return inserted;
}

/**
 * A job that waits becomes the new one, under its id, and keeps its place if both may run at once. It is postponed until
 * `unique_until` at most, counted anew if it has begun before. A job that runs gives its key to the new one, and from now on
 * leaves as cancelled instead of running again. One that begins meanwhile is not in the result. The rows of all keys are locked in
 * the order of the keys before any is changed, so that two bulks do not deadlock over those of which some run.
 */
async function insertOrReplace(knex: Knex, rows: readonly NewJobRow[]): Promise<readonly Claimed[]> {
  const old = TABLES.jobs;
  const until = `case when excluded.unique_until is null or ${old}.attempts + ${old}.deliveries > 0 or ${old}.history is not null
    then excluded.unique_until else least(${old}.unique_until, excluded.unique_until) end`;
  const isLater = `(excluded.state = 'scheduled' and coalesce(${until} > clock_timestamp(), true))`;
  // Without a limit its priority decides whether it is held.
  const isUnlimited = `(${old}.limit_key is null and excluded.limit_key is null and excluded.state <> 'scheduled')`;
  const isMoved = `(${isLater} or ${old}.state = 'scheduled')`;
  const { rows: placed } = await knex.raw<{ rows: Claimed[] }>(
    `with holders as materialized (
       select id, state from ${old} where unique_key = any(?::text[]) order by unique_key for update
     ), begun as (
       update ${old} set unique_key = null, unique_until = null, cancel_reason = coalesce(cancel_reason, ?)
       where id in (select id from holders where state = 'running') returning id
     ) ${INSERT_KEYED('cross join (select count(*) from begun) as ended')}
     ${CONFLICT} do update set queue = excluded.queue, payload = excluded.payload, tags = excluded.tags,
       limit_key = excluded.limit_key, priority = excluded.priority, batch_id = excluded.batch_id, created_at = excluded.created_at, unique_until = ${until},
       state = case when ${isLater} then 'scheduled' when ${old}.state = 'scheduled' or ${isUnlimited} then excluded.state else ${old}.state end,
       run_at = case when ${isMoved} then least(excluded.run_at, ${until}) else ${old}.run_at end,
       left_since = case when ${isMoved} then null else excluded.run_at end,
       attempts = 0, deliveries = 0, history = null, error = null, messages = null, cursor = null, progress = null, steps = null
     where ${old}.state <> 'running'
     returning id, unique_key as key, state`,
    [rows.map(uniqueKey), REPLACED, ...keyedColumns(rows)],
  );
  return placed;
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
    rows.map(({ priority = 0 }) => String(priority)),
    rows.map((row) => row.batchId ?? ''),
  ];
}
