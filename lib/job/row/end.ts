import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { type CancelledRun, deleteAsked } from './cancel';
import { ASYNCHRONOUS, BRIEFLY, isLockTimeout, MAY_RUN } from './claim';
import { type DeadJob, insertDead } from './dead';
import { type FinishedJob, insertFinished } from './finished';
import type { Delivery } from './job-row';
import { holdKeys } from './limited';

/** What becomes of a job whose run has ended. */
export type Outcome =
  /** Done: its row goes; `finished`: to the finished jobs. `isCommitted`: it has gone already, in a transaction of the job. */
  | { readonly op: 'delete'; readonly isCommitted?: boolean; readonly finished?: FinishedJob }
  /** Discarded: its row goes, too. */
  | { readonly op: 'discard' }
  /** Its run has failed after it was asked to cancel: its row goes. */
  | { readonly op: 'cancel' }
  | {
      readonly op: 'retry';
      readonly history: string;
      /** Of the latest error: its name, and what a search for messages covers. */
      readonly error: string;
      readonly messages: string;
      /** Runs that have failed, this one included. */
      readonly attempts: number;
      readonly waitMs: number;
      /** The queue that it goes to. Default: its own. */
      readonly queue?: string | undefined;
      readonly inOrderOf?: string | undefined;
    }
  | { readonly op: 'dead'; readonly job: DeadJob }
  /**
   * It runs again later, by its own wish: that is not a failure. `inOrderOf`, also of a retry: no job of this key runs before it
   * does, so it keeps its place among them.
   */
  | {
      readonly op: 'snooze';
      readonly waitMs: number;
      readonly history?: string;
      readonly inOrderOf?: string | undefined;
    }
  /** Left to another release: it is not a failure, and its delivery is not counted. */
  | { readonly op: 'leave'; readonly waitMs: number }
  /** It was told to wait, with all jobs of this key (null: alone). It is not a failure, and its delivery is not counted. */
  | { readonly op: 'wait'; readonly waitMs: number; readonly key: string | null; readonly history?: string }
  /** Returned to the head of its queue; `return-counted`: it may have brought its process down. */
  | { readonly op: 'return' | 'return-counted'; readonly history?: string };

export interface Ended {
  readonly delivery: Pick<Delivery, 'id' | 'claimedAt'>;
  readonly outcome: Outcome;
}

/**
 * Finds the rows that this process has claimed at these times and still holds. `claimed_by` is compared as an expression, which
 * has no statistics. With those of a queue in which nothing ran, Postgres would expect one such row, and compare each with all
 * that have ended.
 */
const THESE = 'unnest(?::uuid[], ?::timestamptz[]) as ended (id, at)';
const OWNED = () =>
  `${TABLES.jobs}.id = ended.id and ${TABLES.jobs}.claimed_by || '' = ? and ${TABLES.jobs}.claimed_at = ended.at`;

const NOT_ASKED = () => `${TABLES.jobs}.cancel_reason is null`;
/** A run that is done is done, in spite of a request. */
const isCancellable = ({ outcome }: Ended) => outcome.op !== 'delete';

const isCommitted = ({ outcome }: Ended) => outcome.op === 'delete' && outcome.isCommitted === true;
const isKept = ({ outcome }: Ended) => outcome.op === 'delete' && outcome.finished !== undefined;

/** What became of outcomes that were to be recorded. */
interface Recorded<E> {
  readonly applied: ReadonlySet<string>;
  /** Jobs that were asked to cancel, and whose run was not done. Whatever their outcomes were, they are cancelled instead. */
  readonly cancelled: readonly CancelledRun[];
  /** Outcomes that Postgres may not have, because of `error`. If it has one after all, it is void when it is sent again. */
  readonly unrecorded: readonly E[];
  /** Outcomes that Postgres does not have, since another transaction has locked some of their rows (`lockedIds`). */
  readonly locked: readonly E[];
  readonly error: unknown;
}

/**
 * Records outcomes, one statement for each kind. An outcome is void when the row no longer belongs to this delivery. Either its
 * process seemed to be dead and the job was returned, or the outcome was recorded before and the reply was lost. A job that was
 * asked to cancel leaves, unless it is done.
 */
export async function recordOutcomes<E extends Ended>(
  knex: Knex,
  identity: string,
  endings: readonly E[],
): Promise<Recorded<E>> {
  const applied = new Set(endings.filter(isCommitted).map(({ delivery }) => delivery.id));
  const of = (...ops: readonly Outcome['op'][]) => endings.filter(({ outcome }) => ops.includes(outcome.op));
  const done = of('delete').filter((ended) => !isCommitted(ended));
  const kinds = [
    [done.filter((ended) => !isKept(ended)), deleteJobs],
    [done.filter(isKept), finishJobs],
    [of('discard'), discardJobs],
    [of('retry', 'snooze', 'leave', 'wait', 'return', 'return-counted'), returnJobs],
    [of('dead'), moveToDead],
  ] as const;
  const results = await Promise.allSettled(
    kinds.map(async ([ended, record]) => (ended.length > 0 ? await record(knex, identity, ended) : [])),
  );
  const unrecorded: E[] = [];
  const locked: E[] = [];
  let error: unknown;
  const failed = (ended: readonly E[], reason: unknown) => {
    if (isLockTimeout(reason)) locked.push(...ended);
    else {
      unrecorded.push(...ended);
      error = reason;
    }
  };
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') for (const id of result.value) applied.add(id);
    else failed(kinds[index]?.[0] ?? [], result.reason);
  }
  // What was asked to cancel until now has changed nothing above.
  const isOpen = (ended: E) =>
    !applied.has(ended.delivery.id) && !unrecorded.includes(ended) && !locked.includes(ended);
  const open = endings.filter((ended) => isCancellable(ended) && isOpen(ended));
  let cancelled: readonly CancelledRun[] = [];
  try {
    if (open.length > 0) cancelled = await cancelJobs(knex, identity, open);
  } catch (thrown) {
    failed(open, thrown);
  }
  return { applied, cancelled, unrecorded, locked, error };
}

/** @returns the ids of those of these jobs whose rows this process still holds, and others have locked. Waits for none. */
export async function lockedIds(knex: Knex, identity: string, endings: readonly Ended[]): Promise<ReadonlySet<string>> {
  const ids = await returnedIds(
    knex,
    `with owned as materialized (
       select ${TABLES.jobs}.id from ${TABLES.jobs}, ${THESE} where ${OWNED()}
     ), free as materialized (
       select id from ${TABLES.jobs} where id in (select id from owned) for update skip locked
     ) select id from owned where id not in (select id from free)`,
    [...fences(endings), identity],
  );
  return new Set(ids);
}

function fences(endings: readonly Ended[]): [ids: readonly string[], claimedAt: readonly string[]] {
  return [endings.map(({ delivery }) => delivery.id), endings.map(({ delivery }) => delivery.claimedAt)];
}

async function returnedIds(knex: Knex, sql: string, values: readonly unknown[]): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(sql, values as Knex.RawBinding[]);
  return rows.map(({ id }) => id);
}

const DELETE_DONE = () =>
  `delete from ${TABLES.jobs} using ${THESE} where ${OWNED()} and ${ASYNCHRONOUS} and ${BRIEFLY} returning ${TABLES.jobs}`;

function deleteJobs(knex: Knex, identity: string, endings: readonly Ended[]): Promise<string[]> {
  return returnedIds(knex, `${DELETE_DONE()}.id`, [...fences(endings), identity]);
}

function finishJobs(knex: Knex, identity: string, endings: readonly Ended[]): Promise<string[]> {
  const jobs = endings.flatMap(({ outcome }) => (outcome.op === 'delete' && outcome.finished) || []);
  return insertFinished(knex, jobs, { sql: `${DELETE_DONE()}.*`, values: [...fences(endings), identity] });
}

function discardJobs(knex: Knex, identity: string, endings: readonly Ended[]): Promise<string[]> {
  return returnedIds(
    knex,
    `delete from ${TABLES.jobs} using ${THESE} where ${OWNED()} and ${NOT_ASKED()} and ${BRIEFLY} returning ${TABLES.jobs}.id`,
    [...fences(endings), identity],
  );
}

function cancelJobs(knex: Knex, identity: string, endings: readonly Ended[]): Promise<CancelledRun[]> {
  return deleteAsked(knex, `${BRIEFLY} and exists (select from ${THESE} where ${OWNED()}) and id = any(?::uuid[])`, [
    ...fences(endings),
    identity,
    endings.map(({ delivery }) => delivery.id),
  ]);
}

function inOrderOf(outcome: Outcome): string | undefined {
  return 'inOrderOf' in outcome ? outcome.inOrderOf : undefined;
}

/** Jobs that will run again: at once, or later. */
async function returnJobs(knex: Knex, identity: string, endings: readonly Ended[]): Promise<string[]> {
  const outcomes = endings.map(({ outcome }) => outcome);
  // Before its job is ready again: if the process dies in between, the key is held and the job is rescued.
  await holdKeys(
    knex,
    outcomes.flatMap((outcome) => {
      const key = outcome.op === 'wait' ? outcome.key : inOrderOf(outcome);
      return 'waitMs' in outcome && key != null ? [[key, outcome.waitMs]] : [];
    }),
  );
  const retries = outcomes.map((outcome) => (outcome.op === 'retry' ? outcome : undefined));
  return returnedIds(
    knex,
    `update ${TABLES.jobs} set claimed_by = null,
       state = case when wait_ms is null then ${MAY_RUN} when in_order then 'held' else 'scheduled' end,
       run_at = case when in_order then run_at else coalesce(clock_timestamp() + wait_ms * interval '1 millisecond', run_at) end,
       left_since = case when op in ('leave', 'wait') then coalesce(left_since, run_at) when op in ('retry', 'snooze') then null else left_since end,
       deliveries = case when op in ('retry', 'snooze') then 0 when op = 'return-counted' then deliveries else deliveries - 1 end,
       attempts = coalesce(failed, attempts), queue = coalesce(goes_to, queue),
       history = coalesce(failure::json, history), error = coalesce(name, error), messages = coalesce(texts, messages)
     from unnest(?::uuid[], ?::timestamptz[], ?::text[], ?::float8[], ?::bool[], ?::int[], ?::text[], ?::text[], ?::text[], ?::text[])
       as ended (id, at, op, wait_ms, in_order, failed, goes_to, failure, name, texts)
     where ${OWNED()} and ${NOT_ASKED()} and ${ASYNCHRONOUS} and ${BRIEFLY} returning ${TABLES.jobs}.id`,
    [
      ...fences(endings),
      outcomes.map(({ op }) => op),
      outcomes.map((outcome) => ('waitMs' in outcome ? outcome.waitMs : null)),
      outcomes.map((outcome) => inOrderOf(outcome) !== undefined),
      retries.map((retry) => retry?.attempts ?? null),
      retries.map((retry) => retry?.queue ?? null),
      outcomes.map((outcome) => ('history' in outcome && outcome.history) || null),
      retries.map((retry) => retry?.error ?? null),
      retries.map((retry) => retry?.messages ?? null),
      identity,
    ],
  );
}

async function moveToDead(knex: Knex, identity: string, endings: readonly Ended[]): Promise<string[]> {
  const jobs = endings.flatMap(({ outcome }) => (outcome.op === 'dead' ? [outcome.job] : []));
  return insertDead(knex, jobs, {
    sql: `delete from ${TABLES.jobs} using ${THESE} where ${OWNED()} and ${NOT_ASKED()} and ${BRIEFLY} returning ${TABLES.jobs}.*`,
    values: [...fences(endings), identity],
  });
}
