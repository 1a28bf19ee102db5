import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import {
  BatchEndedError,
  type BatchEvent,
  type BatchState,
  type BatchStatus,
  type NewBatch,
} from '../definition/batch';
import type { ReadyJob } from './claim';
import { insertJobs } from './insert';
import type { NewJobRow } from './job-row';

const HAS_DEAD = () => `exists (select from ${TABLES.dead} as dead where dead.batch_id = batch.id)`;
const HAS_JOB = () => `exists (select from ${TABLES.jobs} as job where job.batch_id = batch.id)`;
const HAS_CHILD = (condition: string) =>
  `exists (select from ${TABLES.batches} as child where child.parent_id = batch.id and ${condition})`;

/** SQL: the first death of its jobs was not told yet. */
const DIES = () => `died_at is null and (given_up_at is not null or ${HAS_DEAD()})`;
/** SQL: nothing of it is left. */
const IS_OVER = () => `sealed_at is not null and not ${HAS_JOB()} and not ${HAS_CHILD('child.completed_at is null')}`;
/** SQL: if it is over, it has succeeded. */
const IS_WELL = () =>
  `given_up_at is null and not ${HAS_DEAD()} and not ${HAS_CHILD(`child.outcome is distinct from 'succeeded'`)}`;
/** SQL: something is to be told of the batch. */
const IS_DUE = () =>
  `ended_at is null and ((${DIES()}) or (${IS_OVER()} and (completed_at is null or (${IS_WELL()}))))`;

/** SQL: there is a batch of which something is to be told. */
export const IS_ANY_BATCH_DUE = () => `exists (select from ${TABLES.batches} as batch where ${IS_DUE()})`;

/** Batches that one look at all of them settles, and rows in one statement. */
const MAX_DUE = 100;
const MAX_ROWS = 1000;
/** For this long a batch is waited for that others have locked: a transaction of an app may keep it as long as it likes. */
const LOCK_WAIT = '100ms';
const LOCK_NOT_AVAILABLE = '55P03';
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

/** @returns batches of which something is to be told: of these and of those around them, or of all. */
async function dueBatches(knex: Knex, ids?: readonly string[]): Promise<string[]> {
  const among = ids
    ? `and batch.id in (select unnest(?::uuid[]) union select parent_id from ${TABLES.batches} where id = any(?::uuid[]))`
    : '';
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `select id from ${TABLES.batches} as batch where ${IS_DUE()} ${among} order by created_at limit ${ids ? 'all' : MAX_DUE}`,
    (ids ? [[...ids], [...ids]] : []) as unknown as Knex.RawBinding[],
  );
  return rows.map(({ id }) => id);
}

interface Settling {
  readonly parentId: string | null;
  readonly callbacks: NewBatch<NewJobRow>['callbacks'];
  readonly dies: boolean;
  readonly completes: boolean;
  readonly succeeds: boolean;
}

/** What a look at batches has done. */
export interface Settled {
  /** Callbacks that are ready. */
  readonly ready: ReadyJob[];
  /** true: the dispatcher should look soon. A batch is locked, more are due, or a callback is not ready yet. */
  readonly isLookDue: boolean;
  /** The first error of one that could not be settled; the others were. */
  readonly error: unknown;
}

/**
 * Enqueues the callbacks that are due, each once: the row of the batch is locked, and says what was told. The callbacks of a batch
 * within another are jobs of that one.
 * @param ids only these batches, and those around them. Default: all, a hundred in one look.
 */
export async function settleBatches(knex: Knex, ids?: readonly string[]): Promise<Settled> {
  const ready: ReadyJob[] = [];
  let isLookDue = false;
  let error: unknown;
  for (let due = await dueBatches(knex, ids); due.length > 0; ) {
    isLookDue ||= ids === undefined && due.length === MAX_DUE;
    const parents: string[] = [];
    for (const id of due) {
      try {
        const settled = await knex.transaction((trx) => settle(trx, id));
        ready.push(...(settled?.ready ?? []));
        if (settled?.hasWaiting) isLookDue = true;
        if (settled?.parentId) parents.push(settled.parentId);
      } catch (thrown) {
        if ((thrown as { readonly code?: unknown }).code === LOCK_NOT_AVAILABLE) isLookDue = true;
        else error ??= thrown;
      }
    }
    due = parents.length > 0 ? await dueBatches(knex, parents) : [];
  }
  return { ready, isLookDue, error };
}

interface SettledBatch {
  readonly ready: ReadyJob[];
  readonly hasWaiting: boolean;
  readonly parentId: string | null;
}

async function settle(trx: Knex, id: string): Promise<SettledBatch | undefined> {
  await trx.raw(
    `select from ${TABLES.batches} where id = ?::uuid and set_config('lock_timeout', '${LOCK_WAIT}', true) is not null for update`,
    [id],
  );
  // A statement of its own sees what was committed while this one waited for the lock.
  const { rows } = await trx.raw<{ rows: Settling[] }>(
    `select parent_id as "parentId", callbacks, (${DIES()}) as dies, (completed_at is null and ${IS_OVER()}) as completes,
       (${IS_OVER()} and ${IS_WELL()}) as succeeds
     from ${TABLES.batches} as batch where id = ?::uuid and ended_at is null`,
    [id],
  );
  const [batch] = rows;
  if (!batch) return undefined;
  const { parentId, callbacks, dies, completes, succeeds } = batch;
  const told: readonly (readonly [BatchEvent, boolean])[] = [
    ['death', dies],
    ['complete', completes],
    ['success', succeeds],
  ];
  const due = told.flatMap(([event, isDue]) => (isDue ? (callbacks[event] ?? []) : [])).map(withTime);
  const isInParent = due.length > 0 && parentId !== null && (await isOpen(trx, parentId, due.length));
  const inserted = await insertJobs(
    trx,
    due.map((row) => (isInParent ? { ...row, batchId: parentId } : row)),
  );
  await trx.raw(
    `update ${TABLES.batches} set
       died_at = case when ? then clock_timestamp() else died_at end,
       completed_at = case when ? then clock_timestamp() else completed_at end,
       ended_at = case when ? then clock_timestamp() end,
       outcome = case when ? then 'succeeded' end
     where id = ?::uuid`,
    [dies, completes, succeeds, succeeds, id],
  );
  const ready = due.flatMap(({ queue }, i) => (inserted[i]?.ready ? { id: inserted[i].id, queue } : []));
  return { ready, hasWaiting: ready.length < due.length, parentId };
}

/** A time was written as text. */
function withTime({ runAt, ...row }: NewJobRow): NewJobRow {
  return { ...row, runAt: runAt && 'at' in runAt ? { at: new Date(runAt.at) } : runAt };
}

async function isOpen(trx: Knex, id: string, count: number): Promise<boolean> {
  try {
    await countAdded(trx, new Map([[id, count]]));
    return true;
  } catch (thrown) {
    if (thrown instanceof BatchEndedError) return false;
    throw thrown;
  }
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

interface BatchRow extends Omit<BatchStatus, 'state' | 'done' | 'parentId' | 'completedAt' | 'endedAt'> {
  readonly parentId: string | null;
  readonly completedAt: Date | null;
  readonly endedAt: Date | null;
  readonly outcome: 'succeeded' | 'cancelled' | null;
  readonly isSealed: boolean;
}

/** Reads a batch, or the latest ones. */
export async function readBatches(
  knex: Knex,
  choice: { readonly id: string } | { readonly limit: number },
): Promise<BatchStatus[]> {
  const [where, values] =
    'id' in choice ? ['where id = ?::uuid', [choice.id]] : ['order by created_at desc limit ?', [choice.limit]];
  const { rows } = await knex.raw<{ rows: BatchRow[] }>(
    `select id, parent_id as "parentId", description, tags, total::float8 as total, outcome, sealed_at is not null as "isSealed",
       (select count(*)::int from ${TABLES.jobs} as job where job.batch_id = batch.id) as pending,
       (select count(*)::int from ${TABLES.dead} as dead where dead.batch_id = batch.id) as dead,
       created_at as "createdAt", completed_at as "completedAt", ended_at as "endedAt"
     from ${TABLES.batches} as batch ${where}`,
    values as Knex.RawBinding[],
  );
  return rows.map(({ outcome, isSealed, parentId, completedAt, endedAt, ...row }) => ({
    ...row,
    parentId: parentId ?? undefined,
    completedAt: completedAt ?? undefined,
    endedAt: endedAt ?? undefined,
    done: Math.max(0, row.total - row.pending - row.dead),
    state: stateOf(outcome, isSealed, completedAt !== null && row.pending === 0),
  }));
}

function stateOf(outcome: BatchRow['outcome'], isSealed: boolean, isCompleted: boolean): BatchState {
  if (outcome !== null) return outcome;
  if (!isSealed) return 'filling';
  return isCompleted ? 'completed' : 'running';
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
