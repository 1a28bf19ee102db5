import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { BatchEndedError, type BatchEvent, type NewBatch } from '../definition/batch';
import { countAdded } from './batch';
import { isLockTimeout, type ReadyJob } from './claim';
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

/** Batches that one look at all of them settles. */
const MAX_DUE = 100;
/** For this long a batch is waited for that others have locked: a transaction of an app may keep it as long as it likes. */
const LOCK_WAIT = '100ms';

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
        if (isLockTimeout(thrown)) isLookDue = true;
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
