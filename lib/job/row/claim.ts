import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { runPrepared } from '../../model/prepared';
import { type CancelledRun, deleteAsked } from './cancel';
import type { Delivery } from './job-row';

/** Who claims, and what it may claim. */
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
    }
  | { readonly queues: readonly string[]; readonly limit: number };

const COLUMNS = `id, queue, payload::text, history::text, attempts, deliveries, claimed_at::text as "claimedAt", limit_key as "limitKey",
  (extract(epoch from coalesce(left_since, run_at)) * 1000)::float8 as "readyAt"`;

/** COMMIT need not wait for the disk. If a crash of Postgres takes a claim back, the job runs again, which it may anyway. */
export const ASYNCHRONOUS = `set_config('synchronous_commit', 'off', true)`;

/**
 * SQL: a job chosen by its id is ready, and counts towards a limit. They are written as expressions, which match no partial
 * index. With statistics from before a queue filled, Postgres would otherwise read all of `job_queue_ready` for each claim
 * instead of looking up a few ids.
 */
const IS_READY = `${TABLES.jobs}.state || '' = 'ready'`;
const IS_LIMITED = `${TABLES.jobs}.limit_key || '' is not null`;

/** SQL: a job's queue is not paused. */
const isOpen = () => `not exists (select from ${TABLES.pauses} as pause where pause.queue = ${TABLES.jobs}.queue)`;

/** SQL: the ids of the first jobs that are due, in the order of the queues. Bindings: queues, and twice how many. */
const FIRST_DUE = (limitKey: 'is null' | 'is not null', lock: string) =>
  `select id from unnest(?::text[]) with ordinality as served (name, position) cross join lateral (
    select id, run_at from ${TABLES.jobs}
    where state = 'ready' and limit_key ${limitKey} and queue = served.name and run_at <= clock_timestamp()
    order by run_at limit ? ${lock}
  ) as next order by position, run_at limit ?`;

/**
 * Claims jobs. Some may not be claimable: others have claimed them, their queue is paused, they were deleted or moved, they
 * belong to a copied database, or they count towards a limit (`claimLimited`). A claim by ids waits for locked rows; a scan
 * passes over them.
 * @returns the claimed jobs, in the order of the choice.
 */
export async function claim(knex: Knex, { identity, origin }: Claimant, choice: Choice): Promise<Delivery[]> {
  const [sql, values] =
    'ids' in choice
      ? ['any(?::uuid[])', [[...choice.ids]]]
      : [
          // The scan locks the rows that it finds, and passes over those that others have locked.
          `any(array(${FIRST_DUE('is null', 'for update skip locked')}))`,
          [[...choice.queues], choice.limit, choice.limit],
        ];
  const statement = `update ${TABLES.jobs} set state = 'running', claimed_by = ?, deliveries = deliveries + 1, claimed_at = clock_timestamp()
     where id = ${sql} and ${IS_READY} and limit_key is null
       and ${isOpen()}
       and (select origin from ${TABLES.installation}) = ? and ${ASYNCHRONOUS} is not null
     returning ${COLUMNS}`;
  const bindings = [identity, ...values, origin];
  const { rows } =
    'ids' in choice && choice.isLone
      ? await runPrepared<Delivery>(knex, 'catamount claim', statement, bindings)
      : await knex.raw<{ rows: Delivery[] }>(statement, bindings as unknown as Knex.RawBinding[]);
  return ordered(rows, choice);
}

/** Postgres returns rows in any order. */
function ordered(rows: Delivery[], choice: Choice): Delivery[] {
  const [chosen, keyOf] =
    'ids' in choice
      ? [choice.ids.map((id) => id.toLowerCase()), ({ id }: Delivery) => id]
      : [choice.queues, ({ queue }: Delivery) => queue];
  const positions = new Map(chosen.map((key, position) => [key, position]));
  const positionOf = (row: Delivery) => positions.get(keyOf(row)) ?? chosen.length;
  return rows.sort((a, b) => positionOf(a) - positionOf(b) || a.readyAt - b.readyAt);
}

/** The limits of classes, by the name that their rows carry. */
export type Limits = ReadonlyMap<string, number>;

/** The jobs that a claim has found, and those that were set aside. */
export interface LimitedClaim {
  readonly claimed: Delivery[];
  readonly held: readonly Delivery[];
}

/**
 * Claims as many of the chosen jobs as their limits allow. The others are held until a job of their limit ends (`admit`). A
 * held job of the queue that is earlier goes first: it is claimed in place of a chosen one. A row may name a limit that its
 * class no longer has. Then nothing limits it.
 */
export async function claimLimited(
  knex: Knex,
  { identity, origin }: Claimant,
  choice: Choice,
  limits: Limits,
): Promise<LimitedClaim> {
  const [sql, values] =
    'ids' in choice
      ? ['id = any(?::uuid[])', [[...choice.ids]]]
      : [`id = any(array(${FIRST_DUE('is not null', '')}))`, [[...choice.queues], choice.limit, choice.limit]];
  const { rows: found } = await knex.raw<{ rows: { readonly id: string; readonly key: string }[] }>(
    `select id, limit_key as key from ${TABLES.jobs} where ${IS_READY} and ${IS_LIMITED} and ${sql}`,
    values as unknown as Knex.RawBinding[],
  );
  if (found.length === 0) return { claimed: [], held: [] };
  return knex.transaction(async (trx: Knex.Transaction) => {
    const keys = [...new Set(found.map(({ key }) => key))];
    // Two processors must not both count before either has claimed. The keys are locked in one order, so nobody deadlocks.
    await trx.raw('select pg_advisory_xact_lock(hashtextextended(key, 0)) from unnest(?::text[]) as key order by key', [
      keys,
    ]);
    const { rows } = await trx.raw<{ rows: (Delivery & { readonly state: string })[] }>(
      `with chosen as (
         select id, limit_key, queue, run_at from ${TABLES.jobs} where id = any(?::uuid[]) and ${IS_READY}
           and ${isOpen()}
           and (select origin from ${TABLES.installation}) = ?
       ), limits as (
         select limit_key as key, count(*) as wanted, array_agg(queue) as queues,
           most - (select count(*) from ${TABLES.jobs} where limit_key = chosen.limit_key and state = 'running') as free
         from chosen left join unnest(?::text[], ?::float8[]) as given (name, most) on name = limit_key
         group by limit_key, most
       ), candidates as (
         select id, limit_key as key, run_at, true as is_chosen from chosen
         union all
         select earlier.id, key, earlier.run_at, false from limits cross join lateral (
           select id, run_at from ${TABLES.jobs}
           where limit_key = key and state = 'held' and free > 0 and queue = any(queues) order by run_at limit wanted
         ) as earlier
       ), next as (
         select id, is_chosen, row_number() over (partition by key order by run_at) <= least(wanted, free) as fits
         from candidates join limits using (key)
       )
       update ${TABLES.jobs} set state = case when fits then 'running' else 'held' end,
         claimed_by = case when fits then ? end, claimed_at = case when fits then clock_timestamp() end,
         deliveries = deliveries + fits::int
       from next where ${TABLES.jobs}.id = next.id and ${TABLES.jobs}.state || '' in ('ready', 'held') and (fits or is_chosen)
       returning state, ${COLUMNS.replace(/^id/, `${TABLES.jobs}.id`)}`,
      [
        found.map(({ id }) => id),
        origin,
        [...limits.keys()],
        [...limits.values()],
        identity,
      ] as unknown as Knex.RawBinding[],
    );
    const claimed = rows.filter(({ state }) => state === 'running').map(({ state: _, ...delivery }) => delivery);
    const held = rows.filter(({ state }) => state === 'held');
    return { claimed: ordered(claimed, choice), held };
  });
}

/** A job that may be fetched: its id, and the queue to hint at it in. */
export interface ReadyJob {
  readonly id: string;
  readonly queue: string;
}

/**
 * Makes held jobs ready, as many of each limit as are free, the earliest first. Too many do no harm, since the claim counts
 * again.
 * @param keys the limits to look at. Default: all that hold jobs. @param limits of the classes; a name without one is free.
 */
export async function admit(knex: Knex, limits: Limits, keys?: readonly string[]): Promise<ReadyJob[]> {
  const { rows } = await knex.raw<{ rows: ReadyJob[] }>(
    `with holding as (
       select key from unnest(?::text[]) as key
       ${keys ? '' : `union select distinct limit_key from ${TABLES.jobs} where limit_key is not null and state = 'held'`}
     ), free as (
       select key, least(1000, coalesce(most, 1000) - (
         select count(*) from ${TABLES.jobs} where limit_key = key and (state = 'running' or state = 'ready' and ${isOpen()})
       ))::int as count
       from holding left join unnest(?::text[], ?::float8[]) as given (name, most) on given.name = key
     )
     update ${TABLES.jobs} set state = 'ready' where state = 'held' and id = any(array(
       select id from free cross join lateral (
         select id from ${TABLES.jobs} where limit_key = key and state = 'held' and ${isOpen()}
         order by run_at limit greatest(free.count, 0) for update skip locked
       ) as next
     ))
     returning id, queue`,
    [[...(keys ?? [])], [...limits.keys()], [...limits.values()]] as unknown as Knex.RawBinding[],
  );
  return rows;
}

/**
 * Makes jobs ready again that a claim of this process has taken although its reply was lost. Their deliveries do not count. A
 * processor that is quiet or full does this only later; until then the rows stay `running`.
 * @param running ids of the jobs that the process knows to have.
 * @returns those of them that were asked to cancel, and leave instead.
 */
export async function releaseUnknown(
  knex: Knex,
  identity: string,
  running: readonly string[],
): Promise<CancelledRun[]> {
  const where = `state = 'running' and claimed_by = ? and id <> all(?::uuid[])`;
  await knex.raw(
    `update ${TABLES.jobs} set state = 'ready', claimed_by = null, deliveries = deliveries - 1
     where ${where} and cancel_reason is null`,
    [identity, [...running]],
  );
  return deleteAsked(knex, where, [identity, [...running]]);
}
