import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Limits } from '../definition/limits';
import { type Choice, type Claimant, COLUMNS, IS_READY, isOpen, ordered, type ReadyJob } from './claim';
import type { Delivery } from './job-row';

/** SQL: a job chosen by its id counts towards a limit; an expression, as `IS_READY` is. */
const IS_LIMITED = `${TABLES.jobs}.limit_key || '' is not null`;

/** Jobs of a key that are ready although none of the key runs; each that runs allows one more. */
const AHEAD = 4;
/** Jobs of a key that are counted at most. */
const MAX_COUNTED = 2000;
/** Jobs that are ready in a queue, of which a scan chooses. */
const MAX_LOOKED_AT = 1000;

/**
 * SQL: the ids of jobs of limits that are due, in the order of the queues. Keys take turns, in an order drawn by lot, since each
 * turn of a key would otherwise go to the one whose jobs are the oldest. Bindings: queues, and twice how many.
 */
const NEXT_OF_KEYS = () =>
  `select id from unnest(?::text[]) with ordinality as served (name, position) cross join lateral (
    select id, turn, random() as lot from (
      select id, row_number() over (partition by limit_key order by run_at) as turn from (
        select id, limit_key, run_at from ${TABLES.jobs}
        where state = 'ready' and limit_key is not null and queue = served.name and run_at <= clock_timestamp()
        order by run_at limit ${MAX_LOOKED_AT}
      ) as due
    ) as turns order by turn, lot limit ?
  ) as next order by position, turn, lot limit ?`;

/** The jobs that a claim has found, and those that were set aside. */
export interface LimitedClaim {
  readonly claimed: Delivery[];
  readonly held: readonly Delivery[];
  /** Keys of claimed jobs that may have more at once. */
  readonly open: readonly string[];
}

const limitsOf = (limits: Limits) => [[...limits.keys()], [...limits.values()].map(({ count }) => count)];

/**
 * Claims as many of the chosen jobs as their limits allow. The others are held until a job of their key ends (`admit`). A held
 * job of the key and queue that is earlier goes first: it is claimed in place of a chosen one. If the class of a job has no limit
 * any more, nothing limits it.
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
      : [`id = any(array(${NEXT_OF_KEYS()}))`, [[...choice.queues], choice.limit, choice.limit]];
  const { rows: found } = await knex.raw<{ rows: { readonly id: string; readonly key: string }[] }>(
    `select id, limit_key as key from ${TABLES.jobs} where ${IS_READY} and ${IS_LIMITED} and ${sql}`,
    values as unknown as Knex.RawBinding[],
  );
  if (found.length === 0) return { claimed: [], held: [], open: [] };
  return knex.transaction(async (trx: Knex.Transaction) => {
    const keys = [...new Set(found.map(({ key }) => key))];
    // Two processors must not both count before either has claimed. The keys are locked in one order, so nobody deadlocks.
    await trx.raw('select pg_advisory_xact_lock(hashtextextended(key, 0)) from unnest(?::text[]) as key order by key', [
      keys,
    ]);
    const { rows } = await trx.raw<{ rows: (Delivery & { readonly state: string; readonly isOpen: boolean })[] }>(
      `with chosen as (
         select id, limit_key, class, queue, run_at from ${TABLES.jobs} where id = any(?::uuid[]) and ${IS_READY}
           and ${isOpen()}
           and (select origin from ${TABLES.installation}) = ?
       ), limits as (
         select limit_key as key, count(*) as wanted, array_agg(distinct queue) as queues,
           most - (select count(*) from ${TABLES.jobs} where limit_key = chosen.limit_key and state = 'running') as free
         from chosen left join unnest(?::text[], ?::float8[]) as given (name, most) on name = class
         group by limit_key, most
       ), candidates as (
         select id, limit_key as key, run_at, true as is_chosen from chosen
         union all
         select earlier.id, key, earlier.run_at, false from limits
           cross join lateral unnest(queues) as wanted_in (name) cross join lateral (
             select id, run_at from ${TABLES.jobs}
             where limit_key = key and state = 'held' and free > 0 and queue = wanted_in.name order by run_at limit wanted
           ) as earlier
       ), next as (
         select id, is_chosen, row_number() over (partition by key order by run_at) <= least(wanted, free) as fits,
           wanted < coalesce(free, wanted + 1) as is_open
         from candidates join limits using (key)
       )
       update ${TABLES.jobs} set state = case when fits then 'running' else 'held' end,
         claimed_by = case when fits then ? end, claimed_at = case when fits then clock_timestamp() end,
         deliveries = deliveries + fits::int
       from next where ${TABLES.jobs}.id = next.id and ${TABLES.jobs}.state || '' in ('ready', 'held') and (fits or is_chosen)
       returning state, is_open as "isOpen", ${COLUMNS.replace(/^id/, `${TABLES.jobs}.id`)}`,
      [found.map(({ id }) => id), origin, ...limitsOf(limits), identity] as unknown as Knex.RawBinding[],
    );
    const claimed = rows.filter(({ state }) => state === 'running');
    const open = new Set(
      claimed.flatMap(({ isOpen: more, limitKey }) => (more && limitKey !== null ? [limitKey] : [])),
    );
    const deliveries = claimed.map(({ state: _, isOpen: __, ...delivery }) => delivery);
    const held = rows.filter(({ state }) => state === 'held');
    return { claimed: ordered(deliveries, choice), held, open: [...open] };
  });
}

/** A job that was held and is ready now. */
export interface AdmittedJob extends ReadyJob {
  /** true: the limit is for the class, so that no other key waits for its turn. */
  readonly isOfClass: boolean;
}

/**
 * Makes held jobs ready, the earliest of each key first: as many as its limit leaves free, and no more than a few that do not
 * run yet, so that a key with many jobs delays the others by a few only. Too many do no harm, since the claim counts again.
 * @returns them, in their order.
 */
export async function admit(knex: Knex, limits: Limits, keys: readonly string[]): Promise<AdmittedJob[]> {
  if (keys.length === 0) return [];
  const { rows } = await knex.raw<{ rows: (AdmittedJob & { readonly runAt: number })[] }>(
    `with looked as (
       select key, class, most from unnest(?::text[]) as key
         cross join lateral (select class from ${TABLES.jobs} where state = 'held' and limit_key = key limit 1) as first
         left join unnest(?::text[], ?::float8[]) as given (name, most) on name = class
     ), free as (
       select key, class, (least(most - running, running + ${AHEAD}) - ready)::int as count
       from looked cross join lateral (
         select count(*) filter (where state = 'running') as running, count(*) filter (where state = 'ready') as ready from (
           select state from ${TABLES.jobs} where limit_key = key and (state = 'running' or state = 'ready' and ${isOpen()})
           limit ${MAX_COUNTED}
         ) as busy
       ) as counted
     ), next as (
       select first.id from free cross join lateral (
         with recursive lanes (queue) as (
           (select queue from ${TABLES.jobs} where state = 'held' and limit_key = free.key order by queue limit 1)
           union all
           select (select job.queue from ${TABLES.jobs} as job
             where job.state = 'held' and job.limit_key = free.key and job.queue > lanes.queue order by job.queue limit 1)
           from lanes where lanes.queue is not null
         )
         select waiting.id from lanes cross join lateral (
           select id, run_at from ${TABLES.jobs} where state = 'held' and limit_key = free.key and queue = lanes.queue
           order by run_at limit greatest(free.count, 0) for update skip locked
         ) as waiting
         where free.count > 0 and lanes.queue not in (select queue from ${TABLES.pauses})
         order by waiting.run_at limit greatest(free.count, 0)
       ) as first
     )
     update ${TABLES.jobs} set state = 'ready' from next where ${TABLES.jobs}.id = next.id and state = 'held'
     returning ${TABLES.jobs}.id, queue, limit_key = class as "isOfClass", extract(epoch from run_at)::float8 as "runAt"`,
    [[...keys], ...limitsOf(limits)] as unknown as Knex.RawBinding[],
  );
  return rows.sort((a, b) => a.runAt - b.runAt).map(({ runAt: _, ...job }) => job);
}

/** @returns keys with held jobs, in order, at most `limit` of them, by one step in the index for each. @param after a key. */
export async function heldKeys(knex: Knex, after: string, limit: number): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { readonly key: string }[] }>(
    `with recursive keys (key, n) as (
       (select limit_key, 1 from ${TABLES.jobs} where state = 'held' and limit_key > ? order by limit_key limit 1)
       union all
       select (select limit_key from ${TABLES.jobs} where state = 'held' and limit_key > keys.key order by limit_key limit 1), n + 1
       from keys where key is not null and n < ?
     ) select key from keys where key is not null`,
    [after, limit],
  );
  return rows.map(({ key }) => key);
}
