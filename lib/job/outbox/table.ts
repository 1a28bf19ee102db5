import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { OutboxRow } from './insert';

export async function sendEcho(knex: Knex, token: string): Promise<void> {
  await knex.raw('select pg_notify(?, ?)', [TABLES.echoChannel, token]);
}

/**
 * Tries a write that changes nothing: a read-only Postgres rejects it like any other, and the pool then closes a
 * session that stays read-only.
 * @returns true while Postgres rejects writes; false also while the table does not exist. @throws its other errors.
 */
export async function refusesWrites(knex: Knex): Promise<boolean> {
  try {
    // A wait for a lock on the table is not a rejection.
    await knex.raw(`set local lock_timeout = '300ms'; update ${TABLES.outbox} set id = id where false`);
  } catch (thrown) {
    const { code } = thrown as { readonly code?: unknown };
    if (code !== '25006' && code !== '42P01' && code !== '55P03') throw thrown;
    return code === '25006';
  }
  return false;
}

/** The payload of a notification about recurring jobs; that about new rows has an empty one. */
export const CRON_NOTICE = 'cron';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** @returns true for ids of ours: only they can be in the outbox, since plain bee-queue producers have other ids. */
export function isUuid(id: string): boolean {
  return UUID.test(id);
}

/** Deletes rows whose jobs have an outcome. */
export async function deleteRows(knex: Knex, ids: readonly string[]): Promise<void> {
  await knex.raw(`delete from ${TABLES.outbox} where id = any(?::uuid[])`, [[...ids]]);
}

/** A position in a scan of the dispatched rows. */
export interface Cursor {
  readonly dispatchedAt: string;
  readonly id: string;
}

interface DispatchedRow {
  readonly id: string;
  readonly queue: string;
  readonly dispatched_at: string;
}

/** Reads the next page of dispatched rows, in the order of their dispatch. */
export async function dispatchedAfter(
  knex: Knex,
  cursor: Cursor | undefined,
  limit: number,
): Promise<readonly DispatchedRow[]> {
  const { rows } = await knex.raw<{ rows: DispatchedRow[] }>(
    `select id, queue, dispatched_at::text from ${TABLES.outbox}
     where dispatched_at is not null and (dispatched_at, id) > (?::timestamptz, ?::uuid)
     order by dispatched_at, id limit ?`,
    [cursor?.dispatchedAt ?? '-infinity', cursor?.id ?? '00000000-0000-0000-0000-000000000000', limit],
  );
  return rows;
}

/** Returns rows to the relay. @returns how many were still marked as dispatched. */
export async function redispatch(knex: Knex, ids: readonly string[]): Promise<number> {
  const result = await knex.raw<{ rowCount: number }>(
    `update ${TABLES.outbox} set dispatched_at = null where id = any(?::uuid[]) and dispatched_at is not null`,
    [[...ids]],
  );
  return result.rowCount;
}

/** Counts end here, so that they stay fast. */
const MOST_COUNTED = 10_000;
/** Rows per DELETE statement. */
const CHUNK = 1000;

/** Counts rows that are due and not yet dispatched, up to 10,000. @param except queues that are left out. */
export async function countDue(knex: Knex, except: readonly string[] = []): Promise<number> {
  const { rows } = await knex.raw<{ rows: { readonly size: number }[] }>(
    `select count(*)::int as size from (
       select 1 from ${TABLES.outbox}
       where dispatched_at is null and run_at <= (select clock_timestamp()) and queue <> all(?::text[]) limit ?
     ) as due`,
    [[...except], MOST_COUNTED],
  );
  return rows[0]?.size ?? 0;
}

/** Counts rows that are due and not yet dispatched for each of these queues, up to 10,000 each. */
export async function dueByQueue(knex: Knex, queues: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await knex.raw<{ rows: { readonly queue: string; readonly size: number }[] }>(
    `select q.queue, (
       select count(*)::int from (
         select 1 from ${TABLES.outbox}
         where dispatched_at is null and queue = q.queue and run_at <= (select clock_timestamp()) limit ?
       ) as due
     ) as size
     from unnest(?::text[]) as q (queue)`,
    [MOST_COUNTED, [...queues]],
  );
  return new Map(rows.map(({ queue, size }) => [queue, size]));
}

/** Counts dead jobs by queue. @param since only those that died then or later, ms since 1970. */
export async function deadByQueue(knex: Knex, since = 0): Promise<ReadonlyMap<string, number>> {
  const { rows } = await knex.raw<{ rows: { readonly queue: string; readonly size: number }[] }>(
    `select queue, count(*)::int as size from ${TABLES.dead}
     where died_at >= timestamptz 'epoch' + ?::float8 * interval '1 millisecond' group by queue`,
    [since],
  );
  return new Map(rows.map(({ queue, size }) => [queue, size]));
}

/** Deletes the rows of a queue that are due by now and not yet dispatched; waits for rows that a relay has locked. */
export async function deleteDue(knex: Knex, queue: string, onDeleted: (count: number) => void): Promise<void> {
  const { rows: times } = await knex.raw<{ rows: { readonly now: string }[] }>('select clock_timestamp()::text as now');
  for (let deleted = CHUNK; deleted === CHUNK; ) {
    const result = await knex.raw<{ rowCount: number }>(
      `with due as (
         select id from ${TABLES.outbox} where dispatched_at is null and queue = ? and run_at <= ?::timestamptz
         order by run_at limit ? for update
       )
       delete from ${TABLES.outbox} using due where ${TABLES.outbox}.id = due.id`,
      [queue, times[0]?.now ?? '-infinity', CHUNK],
    );
    deleted = result.rowCount;
    onDeleted(deleted);
  }
}

/** Deletes one row that is due. @returns false when there is none, or a relay has dispatched it meanwhile. */
export async function deleteDueRow(knex: Knex, queue: string, id: string): Promise<boolean> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `delete from ${TABLES.outbox}
     where id = ?::uuid and queue = ? and dispatched_at is null and run_at <= (select clock_timestamp())`,
    [id, queue],
  );
  return rowCount > 0;
}

interface ClaimedRow extends OutboxRow {
  /** The time at which it became due, ms since 1970. */
  readonly dueAt: number;
  /** The other part of the record, and the time of death (ms since 1970), of a retried dead job. */
  readonly options: string | null;
  readonly diedAt: number | undefined;
}

interface Claim {
  /** Sorted by due time, oldest first. */
  readonly rows: readonly ClaimedRow[];
  /** true: more rows may be due. */
  readonly more: boolean;
  /** Installation id of the database, read in the same statement; null when there is none or no row was due. */
  readonly installation: string | null;
}

// The queues with rows that are not dispatched: one step in the index for each queue, however many rows it has.
const QUEUES = () => `queues (queue) as (
  (select queue from ${TABLES.outbox} where dispatched_at is null order by queue limit 1)
  union all
  select (select o.queue from ${TABLES.outbox} o where o.dispatched_at is null and o.queue > queues.queue order by o.queue limit 1)
  from queues where queues.queue is not null
)`;

const DUE = 'dispatched_at is null and run_at <= (select clock_timestamp())';

/** Claims from all queues by age, with one scan of one index. */
const OF_ALL = () => `with due as (
  select id, ?::int as share from ${TABLES.outbox} where ${DUE} order by run_at limit ? for update skip locked
)`;

/** Claims an equal share from each queue, without reading rows of the queues that are left out. */
const OF_OTHERS = () => `with recursive ${QUEUES()}, others as (
  select queue from queues where queue <> all(?::text[])
), share as (
  select ceil(?::float8 / greatest(1, count(*)))::int as rows from others
), due as (
  select chosen.id, rows as share from share cross join others cross join lateral (
    select id from ${TABLES.outbox} where ${DUE} and queue = others.queue
    order by run_at limit share.rows for update skip locked
  ) as chosen
)`;

/**
 * SQL for the statement that locks rows: Postgres then ends the session if it receives nothing for 10 s, since a frozen
 * process would keep the rows from all others. Code that does something else before the next statement must check that
 * it still has its locks.
 */
export const HELD_BRIEFLY = `set_config('idle_in_transaction_session_timeout', '10000', true)`;

interface FoundRow extends OutboxRow {
  readonly due: string;
  readonly options: string | null;
  readonly died: number | null;
  readonly share: number;
  readonly installation: string | null;
}

/**
 * Claims rows that are due and marks them dispatched: the caller dispatches before it commits, or rolls back. Rows that
 * another relay has locked are skipped.
 * @param except queues that are left out.
 */
export async function claimDue(trx: Knex.Transaction, limit: number, except: readonly string[] = []): Promise<Claim> {
  const { rows: found } = await trx.raw<{ rows: FoundRow[] }>(
    `${except.length === 0 ? OF_ALL() : OF_OTHERS()}
     update ${TABLES.outbox} set dispatched_at = clock_timestamp() from due where ${TABLES.outbox}.id = due.id
     returning ${TABLES.outbox}.id, queue, payload, options, (extract(epoch from died_at) * 1000)::float8 as died,
       (extract(epoch from run_at) * 1000000)::bigint::text as due, share,
       (select id::text from ${TABLES.installation}) as installation, (select ${HELD_BRIEFLY}) as held`,
    except.length === 0 ? [limit, limit] : [[...except], limit],
  );
  const counts = new Map<string, number>();
  for (const { queue } of found) counts.set(queue, (counts.get(queue) ?? 0) + 1);
  const share = found[0]?.share ?? 1;
  const rows = found.map(({ id, queue, payload, options, due, died }) => {
    return { id, queue, payload, options, dueAt: Number(due) / 1000, diedAt: died ?? undefined };
  });
  return {
    // UPDATE … RETURNING guarantees no order.
    rows: rows.sort((a, b) => a.dueAt - b.dueAt),
    installation: found[0]?.installation ?? null,
    more: rows.length >= share && (except.length === 0 || Math.max(...counts.values()) >= share),
  };
}

/**
 * @param except queues that are left out.
 * @param told a message to all relays, to which the answer (ms), at most `mostMs`, is appended. Default: nothing is
 * sent.
 * @returns ms until the next row is due (0 or less: now), by the database's clock; undefined when none waits.
 */
export async function msUntilDue(
  knex: Knex,
  except: readonly string[] = [],
  told?: { readonly message: string; readonly mostMs: number },
): Promise<number | undefined> {
  const soonest =
    except.length === 0
      ? `select min(run_at) as at from ${TABLES.outbox} where dispatched_at is null`
      : `with recursive ${QUEUES()}
         select min((
           select min(run_at) from ${TABLES.outbox} where dispatched_at is null and queue = queues.queue
         )) as at from queues where queue <> all(?::text[])`;
  const { rows } = await knex.raw<{ rows: { readonly ms: string | null }[] }>(
    `select ms::text${told ? ', pg_notify(?, ? || least(ms, ?::bigint))' : ''} from (
       select ceil(extract(epoch from at - clock_timestamp()) * 1000)::bigint as ms from (${soonest}) as soonest
     ) as answer`,
    [...(told ? [TABLES.relayChannel, told.message, told.mostMs] : []), ...(except.length === 0 ? [] : [[...except]])],
  );
  const ms = rows[0]?.ms ?? null;
  return ms === null ? undefined : Number(ms);
}
