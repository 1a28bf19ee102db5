import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { onOutcome } from '../../model/transaction';
import { Backoff } from '../../support/async';
import { chunks } from '../../support/chunks';
import type { RunAt, UniqueClaim } from '../definition/job-class';

/** Limits of one statement. */
const LIMITS = { bytes: 4_000_000, count: 1000 };

export interface OutboxRow {
  readonly id: string;
  readonly queue: string;
  readonly payload: string;
}

export interface NewOutboxRow extends OutboxRow {
  readonly class: string;
  /** undefined: the job is due at once. */
  readonly runAt: RunAt | undefined;
  readonly unique?: UniqueClaim | undefined;
}

/**
 * Inserts rows, a thousand per round trip. Several statements outside a transaction are run in one.
 * @returns for each row the id of its job; for a duplicate of a unique job, that of the job that holds the claim.
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
    await knex.raw(`insert into ${TABLES.outbox} (id, queue, class, payload) values (?, ?, ?, ?)`, values);
    return;
  }
  const { inMs, at } = due(row);
  await knex.raw(
    `insert into ${TABLES.outbox} (id, queue, class, payload, run_at)
     values (?, ?, ?, ?, coalesce(?::timestamptz, clock_timestamp() + ? * interval '1 millisecond'))`,
    [...values, at, inMs],
  );
}

// Each row is due a microsecond after the one before it, which keeps their order.
const RUN_AT = `coalesce(nullif(at, '')::timestamptz, statement_timestamp() + in_ms * interval '1 millisecond') + n * interval '1 microsecond'`;

async function insertMany(knex: Knex, rows: readonly NewOutboxRow[]): Promise<void> {
  await knex.raw(
    `insert into ${TABLES.outbox} (id, queue, class, payload, run_at)
     select id, queue, class, payload, ${RUN_AT}
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::float8[])
       with ordinality as new (id, queue, class, payload, at, in_ms, n)`,
    columns(rows),
  );
}

/** @returns the ids of the rows whose keys were free. Waits for an open transaction that has inserted one. */
async function insertUnclaimed(knex: Knex, rows: readonly NewOutboxRow[]): Promise<readonly string[]> {
  // Rows are inserted in the order of their keys, so that two bulks that want the same keys do not deadlock.
  const { rows: inserted } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `insert into ${TABLES.outbox} (id, queue, class, payload, run_at, unique_key, unique_until)
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

/** Deletes rows that need no dispatch, since their jobs have reached Redis directly. */
export async function deleteUndispatched(knex: Knex, ids: readonly string[]): Promise<void> {
  await knex.raw(`delete from ${TABLES.outbox} where id = any(?::uuid[]) and dispatched_at is null`, [[...ids]]);
}

/** Maximum number of attempts to claim a key whose holder was gone when it was looked up. */
const TRIES = 10;

/** Inserts rows whose keys are free. @returns their ids. */
type InsertUnclaimed = (knex: Knex, rows: readonly NewOutboxRow[]) => Promise<readonly string[]>;

/**
 * Inserts unique jobs, each unless another holds its key. A key belongs to a row until the row is deleted or gives it
 * up, so a rollback frees it, and Postgres alone decides.
 * @returns for each row its id → the id of the key's holder; of several rows of one key the first may become the
 * holder.
 * @throws Error when a claim changes hands ten times meanwhile.
 */
export async function claimKeys(
  knex: Knex,
  rows: readonly NewOutboxRow[],
  insert: InsertUnclaimed,
): Promise<ReadonlyMap<string, string>> {
  /** The claimant of each key: of several rows in one bulk, the first. */
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
    // The holder's row is gone, or its claim has expired: the key is free by now.
    wanted = refused.filter((row) => !held.has(keyOf(row)));
  }
  return new Map(rows.map((row) => [row.id, holders.get(keyOf(row)) ?? row.id]));
}

/**
 * Ends the claim of a unique job, so that the next of its kind may be enqueued; a job without a claim is left alone.
 * Deleting the row would end it, too, but that happens a little after the outcome.
 */
export async function releaseUnique(knex: Knex, id: string): Promise<void> {
  await knex.raw(
    `update ${TABLES.outbox} set unique_key = null, unique_until = null where id = ?::uuid and unique_key is not null`,
    [id],
  );
}

/** Releases expired claims. @returns the ids of the jobs that hold the others, by key. */
async function holdersOf(knex: Knex, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await knex.raw<{ rows: { readonly id: string; readonly key: string; readonly over: boolean }[] }>(
    `select id, unique_key as key, unique_until <= clock_timestamp() as over
     from ${TABLES.outbox} where unique_key = any(?::text[])`,
    [[...keys]],
  );
  const over = rows.filter((row) => row.over).map((row) => row.key);
  if (over.length > 0) {
    await knex.raw(
      `update ${TABLES.outbox} set unique_key = null, unique_until = null
       where unique_key = any(?::text[]) and unique_until <= clock_timestamp()`,
      [over],
    );
  }
  return new Map(rows.filter((row) => !row.over).map((row) => [row.key, row.id]));
}

function keyOf(row: NewOutboxRow): string {
  return row.unique?.key ?? '';
}

/** Pause between two notifications, ms; relays gather rows for longer anyway. */
const GATHER_MS = 10;
/** Maximum number of attempts to send a notification that Postgres does not accept. */
const MAX_ATTEMPTS = 15;

/** Channel of Redis: announces that the relays were notified, by the age of the newest notification, ms. */
export const NOTIFIED_CHANNEL = 'catamount:notified';
/** Minimum pause between two messages there, ms. */
const PUBLISH_PAUSE_MS = 1000;
/** How long a message that Redis rejects is sent again, ms; a processor polls by itself once its Redis is back. */
const PUBLISH_FOR_MS = 60_000;

/**
 * Notifies the relays of new rows once they are committed. NOTIFY within the transaction would save a round trip, but
 * Postgres commits transactions that notify one at a time, each with its own wait for the disk. A separate notification
 * is sent at once or, under load, one for many rows. If one is lost with this process, its successor sends another, or
 * a relay's poll finds the rows. It is also announced over Redis, at most once a second, so that a relay notices when
 * its connection no longer carries notifications; this costs nothing while nothing is enqueued.
 */
export class OutboxNotifier {
  private sending = false;
  private again = false;
  private notifiedAt = 0;
  private unpublished = false;
  private pause: NodeJS.Timeout | undefined;
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  constructor(
    private readonly knex: Knex,
    private readonly redis: RedisClient,
  ) {}

  /** Call when the process starts: its predecessor may have died between a COMMIT and the notification. */
  started(): void {
    this.note();
  }

  /** @param knex the connection or transaction that inserted the rows; a transaction's COMMIT is awaited. */
  inserted(knex: Knex): void {
    if (knex.isTransaction) onOutcome(knex as Knex.Transaction, (committed) => void (committed && this.note()));
    else this.note();
  }

  private note(): void {
    this.again = true;
    if (!this.sending) void this.send();
  }

  private async send(): Promise<void> {
    this.sending = true;
    while (this.again) {
      this.again = false;
      // The relays of idle trees poll rarely, so a failed notification is sent again, for about a minute.
      const told = await this.knex.raw("select pg_notify(?, '')", [TABLES.channel]).then(
        () => true,
        () => false,
      );
      if (told) this.notified();
      else if (this.backoff.attempts < MAX_ATTEMPTS) this.again = true;
      await wait(told ? GATHER_MS : this.backoff.next(), undefined, { ref: told });
    }
    this.backoff.reset();
    this.sending = false;
  }

  private notified(): void {
    this.backoff.reset();
    this.notifiedAt = performance.now();
    this.unpublished = true;
    if (!this.pause) this.publish();
  }

  private publish(): void {
    const ageMs = Math.round(performance.now() - this.notifiedAt);
    this.pause = undefined;
    if (!this.unpublished || ageMs > PUBLISH_FOR_MS) return;
    this.unpublished = false;
    this.pause = setTimeout(() => this.publish(), PUBLISH_PAUSE_MS).unref();
    const { redis } = this;
    redis.publish(`${redis.options.keyPrefix ?? ''}${NOTIFIED_CHANNEL}`, String(ageMs)).catch(() => {
      this.unpublished = true;
    });
  }
}
