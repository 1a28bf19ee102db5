import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { runPrepared } from '../../model/prepared';
import type { CancelledRun } from './cancel';
import type { Delivery } from './job-row';

export interface Claimant {
  /** Unique among all processors ever: the first part of the fence. */
  readonly identity: string;
  /** Where the process has found this database to be (`installation.ts`). A copy's rows have another origin. */
  readonly origin: string;
}

/** The jobs to claim: these, or the first that are due in these queues, in the order of the queues. */
export type Choice =
  | {
      readonly ids: readonly string[];
      /** true: an idle processor claims one job as soon as it is enqueued. The statement is then prepared. Default false. */
      readonly isLone?: boolean;
      /** true: a job that is held for its priority is claimed, too. Default false. */
      readonly includesHeld?: boolean;
    }
  | { readonly queues: readonly string[]; readonly limit: number };

export const COLUMNS = `id, queue, payload::text, history::text, attempts, deliveries, claimed_at::text as "claimedAt", limit_key as "limitKey",
  (extract(epoch from coalesce(left_since, run_at)) * 1000)::float8 as "readyAt"`;

/** SQL, always true: COMMIT need not wait for the disk. If a crash of Postgres undoes a claim, the job runs again, as it may. */
export const ASYNCHRONOUS = `set_config('synchronous_commit', 'off', true) is not null`;

/**
 * SQL, always true: the statement fails once it has waited this long for a row that another transaction has locked. Postgres looks
 * for deadlocks only later, so that it is never the other one that it ends.
 */
export const BRIEFLY = `set_config('lock_timeout', '100ms', true) is not null`;

/** @returns true for the error of a statement that has waited too long for a lock. It has changed nothing. */
export function isLockTimeout(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === '55P03';
}

/**
 * SQL: a job chosen by its id is ready. It is written as an expression, which matches no partial index. With statistics from
 * before a queue filled, Postgres would otherwise read all of `job_queue_ready` for each claim instead of looking up a few ids.
 */
export const IS_READY = `${TABLES.jobs}.state || '' = 'ready'`;

/** SQL: a job chosen by its id is ready, or held for its priority or a limit. */
export const IS_READY_OR_HELD = `${TABLES.jobs}.state || '' in ('ready', 'held')`;

/**
 * SQL: the state of a job that may run. Its limit, if it has one, is checked by the claim. One with a priority above 0 is held
 * until nothing else of its queue waits (`priority.ts`).
 */
export const MAY_RUN = `case when priority > 0 and limit_key is null then 'held' else 'ready' end`;

/** SQL: the same for jobs of which there may be many: one with a limit waits for its turn among the keys (`admit`). */
export const MAY_RUN_IN_TURN = `case when priority > 0 or limit_key is not null then 'held' else 'ready' end`;

/** SQL: a job's queue is not paused. */
export const isOpen = () =>
  `not exists (select from ${TABLES.pauses} as pause where pause.queue = ${TABLES.jobs}.queue)`;

/**
 * SQL: the ids of a choice, with its bindings. Postgres reads queues one after the other until there are enough: nothing sorts
 * the whole.
 * @param ofQueue SQL: the ids of the queue `served.name`, in their order, `most` at most.
 */
export function chosen(choice: Choice, ofQueue: () => string): [sql: string, values: unknown[]] {
  if ('ids' in choice) return ['any(?::uuid[])', [[...choice.ids]]];
  const first = `select next.id from unnest(queues) as served (name) cross join lateral (${ofQueue()}) as next limit most`;
  const given = '(select ?::text[] as queues, ?::int as most) as given';
  return [`any(array(select id from ${given} cross join lateral (${first}) as first))`, [choice.queues, choice.limit]];
}

/** SQL: the first plain jobs of a queue that are due. It locks them, and passes over those that others have locked. */
const FIRST_DUE = () => `select id from ${TABLES.jobs}
  where state = 'ready' and limit_key is null and queue = served.name and run_at <= clock_timestamp()
  order by run_at limit most for update skip locked`;

/** SQL: claims the jobs with these ids. Bindings: the identity of the processor, those of the ids, and the origin. */
export const CLAIM = (ids: string, isClaimable: string) =>
  `update ${TABLES.jobs} set state = 'running', claimed_by = ?, deliveries = deliveries + 1, claimed_at = clock_timestamp()
     where id = ${ids} and ${isClaimable} and limit_key is null
       and ${isOpen()}
       and (select origin from ${TABLES.installation}) = ? and (select ${ASYNCHRONOUS} and ${BRIEFLY})`;

/**
 * Claims jobs. Some may not be claimable: others have claimed them, their queue is paused, they were deleted or moved, they
 * belong to a copied database, or they count towards a limit (`claimLimited`, in `limited.ts`). A scan passes over locked rows.
 * @returns the claimed jobs, in the order of the choice.
 * @throws an error of Postgres that `isLockTimeout` knows, if one of the jobs chosen by ids stays locked.
 */
export async function claim(knex: Knex, { identity, origin }: Claimant, choice: Choice): Promise<Delivery[]> {
  const [sql, values] = chosen(choice, FIRST_DUE);
  const statement = `${CLAIM(sql, 'ids' in choice && choice.includesHeld ? IS_READY_OR_HELD : IS_READY)} returning ${COLUMNS}`;
  const bindings = [identity, ...values, origin];
  const { rows } =
    'ids' in choice && choice.isLone
      ? await runPrepared<Delivery>(knex, 'catamount claim', statement, bindings)
      : await knex.raw<{ rows: Delivery[] }>(statement, bindings as unknown as Knex.RawBinding[]);
  return ordered(rows, choice);
}

/** Postgres returns rows in any order. A job without a priority has that of the others. */
export function ordered<D extends Delivery & { readonly priority?: number }>(rows: D[], choice: Choice): D[] {
  const [chosen, keyOf] =
    'ids' in choice
      ? [choice.ids.map((id) => id.toLowerCase()), ({ id }: Delivery) => id]
      : [choice.queues, ({ queue }: Delivery) => queue];
  const positions = new Map(chosen.map((key, position) => [key, position]));
  const positionOf = (row: Delivery) => positions.get(keyOf(row)) ?? chosen.length;
  const byPriority = (a: D, b: D) => (a.priority ?? 0) - (b.priority ?? 0);
  return rows.sort((a, b) => positionOf(a) - positionOf(b) || byPriority(a, b) || a.readyAt - b.readyAt);
}

/** A job that may be fetched: its id, and the queue to hint at it in. */
export interface ReadyJob {
  readonly id: string;
  readonly queue: string;
}

/** What became of jobs that a lost claim had taken. */
interface Released {
  /** Those that were asked to cancel, and have left instead. */
  readonly cancelled: readonly CancelledRun[];
  /** true: an open transaction has locked others of them, so that they still have to be released. */
  readonly isMore: boolean;
}

/**
 * Makes jobs ready again that a claim of this process has taken although its reply was lost. Their deliveries do not count. A
 * processor that is quiet or full does this only later; until then the rows stay `running`.
 * @param running ids of the jobs that the process knows to have.
 */
export async function releaseUnknown(knex: Knex, identity: string, running: readonly string[]): Promise<Released> {
  const unknown = `state = 'running' and claimed_by = ? and id <> all(?::uuid[])`;
  const { rows } = await knex.raw<{ rows: (CancelledRun & { readonly wasFree: boolean })[] }>(
    `with free as materialized (
       select id from ${TABLES.jobs} where ${unknown} for update skip locked
     ), released as (
       update ${TABLES.jobs} set state = ${MAY_RUN}, claimed_by = null, deliveries = deliveries - 1
       where id in (select id from free) and cancel_reason is null
     ), gone as (
       delete from ${TABLES.jobs} where id in (select id from free) and cancel_reason is not null
     ) select id, class, queue, cancel_reason as reason, id in (select id from free) as "wasFree" from ${TABLES.jobs} where ${unknown}`,
    [identity, [...running], identity, [...running]] as unknown as Knex.RawBinding[],
  );
  const cancelled = rows.flatMap(({ wasFree, ...job }) => (wasFree && job.reason !== null ? [job] : []));
  return { cancelled, isMore: rows.some(({ wasFree }) => !wasFree) };
}
