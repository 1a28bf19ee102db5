import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Limits } from '../definition/limits';
import { type Choice, type Claimant, COLUMNS, chosen, IS_READY, isOpen, ordered, type ReadyJob } from './claim';
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
 * SQL: the first jobs of limits of a queue that are due. Among those of one priority keys take turns, in an order drawn by lot,
 * since each turn of a key would otherwise go to the one whose jobs are the oldest.
 */
const NEXT_OF_KEYS = () => `select id from (
    select id, priority, row_number() over (partition by limit_key order by priority, run_at) as turn from (
      select id, limit_key, priority, run_at from ${TABLES.jobs}
      where state = 'ready' and limit_key is not null and queue = served.name and run_at <= clock_timestamp()
      order by priority, run_at limit ${MAX_LOOKED_AT}
    ) as due
  ) as turns order by priority, turn, random() limit most`;

/** The jobs that a claim has found, and those that were set aside. */
export interface LimitedClaim {
  readonly claimed: Delivery[];
  readonly held: readonly Delivery[];
  /** Keys of claimed jobs that may have more at once. */
  readonly open: readonly string[];
}

interface Found extends Delivery {
  readonly state: string;
  readonly priority: number;
  readonly isOpen: boolean;
}

/** SQL: the limits of classes as a table, and its bindings. */
const GIVEN = `unnest(?::text[], ?::float8[], ?::float8[], ?::float8[]) as given (name, most, gap, burst)`;
function limitsOf(limits: Limits) {
  const rules = [...limits.values()];
  return [
    [...limits.keys()],
    rules.map(({ count }) => count),
    rules.map(({ gapMs }) => gapMs),
    rules.map(({ burst }) => burst),
  ];
}

const EPOCH_MS = (interval: string) => `extract(epoch from ${interval})::float8 * 1000`;
const AFTER = (ms: string) => `now + (${ms}) * interval '1 millisecond'`;

/**
 * SQL, beside the columns of `GIVEN`, a row of `job_rates` and `now`: how far the rate is used ahead of now, ms (more than it can
 * be, as after the clock was set back, does not count), the rest of a hold, ms, and how many jobs may start. By GCRA: each start
 * moves the arrival by the gap, and is allowed while the arrival is at most `burst` gaps ahead.
 */
const USED = `least(greatest(0, ${EPOCH_MS('coalesce(arrival, now) - now')}), (burst + 1) * gap) as used,
  greatest(0, ${EPOCH_MS('coalesce(held_until, now) - now')}) as hold`;
const TOKENS = `case when hold > 0 then 0 when gap is null then null else greatest(0, floor(burst - used / gap) + 1) end`;
/** A key is looked at again after this time, ms: at least, and where it waits for the end of a job, of which its process tells. */
const MIN_LOOK_MS = 20;
const MAX_LOOK_MS = 60_000;

// Ids are arrays where Postgres expects a part of all held jobs: it uses the primary key for those, and not a scan of the table.

/**
 * Claims as many of the chosen jobs as their limits allow, but none that an open transaction replaces or cancels. The others are
 * held until a job of their key ends (`admit`). A held job of the key and queue that is earlier goes first: it is claimed in place
 * of a chosen one. If the class of a job has no limit any more, nothing limits it.
 */
export async function claimLimited(
  knex: Knex,
  { identity, origin }: Claimant,
  choice: Choice,
  limits: Limits,
): Promise<LimitedClaim> {
  const [sql, values] = chosen(choice, NEXT_OF_KEYS);
  const { rows: found } = await knex.raw<{ rows: { readonly id: string; readonly key: string }[] }>(
    `select id, limit_key as key from ${TABLES.jobs} where ${IS_READY} and ${IS_LIMITED} and id = ${sql}`,
    values as unknown as Knex.RawBinding[],
  );
  if (found.length === 0) return { claimed: [], held: [], open: [] };
  return knex.transaction(async (trx: Knex.Transaction) => {
    const keys = [...new Set(found.map(({ key }) => key))];
    // Two processors must not both count before either has claimed. The keys are locked in one order, so nobody deadlocks.
    await trx.raw('select pg_advisory_xact_lock(hashtextextended(key, 0)) from unnest(?::text[]) as key order by key', [
      keys,
    ]);
    const { rows } = await trx.raw<{ rows: Found[] }>(
      `with clock as materialized (select clock_timestamp() as now), chosen as (
         select id, limit_key, class, queue, priority, run_at from ${TABLES.jobs} where id = any(?::uuid[]) and ${IS_READY}
           and ${isOpen()}
           and (select origin from ${TABLES.installation}) = ?
       ), wanted as (
         select limit_key as key, class, count(*) as wanted, array_agg(distinct queue) as queues from chosen group by limit_key, class
       ), used as (
         select wanted.*, most, gap, burst, ${USED} from wanted cross join clock left join ${GIVEN} on name = class
           left join ${TABLES.rates} as rate on rate.key = wanted.key
       ), limits as (
         select key, wanted, queues, gap, burst, used, hold, least(${TOKENS},
           most - (select count(*) from ${TABLES.jobs} where limit_key = used.key and state = 'running')) as free
         from used
       ), candidates as (
         select id, limit_key as key, priority, run_at, true as is_chosen from chosen
         union all
         select earlier.id, key, earlier.priority, earlier.run_at, false from limits
           cross join lateral unnest(queues) as wanted_in (name) cross join lateral (
             select id, priority, run_at from ${TABLES.jobs}
             where limit_key = key and state = 'held' and free > 0 and queue = wanted_in.name order by priority, run_at limit wanted
           ) as earlier
       ), next as (
         select id, is_chosen, row_number() over (partition by key order by priority, run_at) <= least(wanted, free) as fits,
           wanted < coalesce(free, wanted + 1) as is_open
         from candidates join limits using (key)
       ), spent as (
         insert into ${TABLES.rates} (key, arrival, look_at)
         select key, coalesce(${AFTER('used + least(wanted, greatest(free, 0)) * gap')}, 'epoch'),
           ${AFTER('case when gap is null or hold > 0 then hold else greatest(0, used + (least(wanted, greatest(free, 0)) - burst) * gap) end')}
         from limits cross join clock where gap is not null or hold > 0 order by key
         on conflict (key) do update set arrival = excluded.arrival, look_at = excluded.look_at
       ), locked as (
         select job.id, fits, is_open from next join ${TABLES.jobs} as job using (id)
         where job.id = any(array(select id from next)) and (fits or is_chosen) and job.state || '' in ('ready', 'held') for update of job skip locked
       )
       update ${TABLES.jobs} set state = case when fits then 'running' else 'held' end,
         claimed_by = case when fits then ? end, claimed_at = case when fits then now end,
         deliveries = deliveries + fits::int
       from locked cross join clock where ${TABLES.jobs}.id = locked.id
       returning state, priority, is_open as "isOpen", ${COLUMNS.replace(/^id/, `${TABLES.jobs}.id`)}`,
      [found.map(({ id }) => id), origin, ...limitsOf(limits), identity] as unknown as Knex.RawBinding[],
    );
    const claimed = rows.filter(({ state }) => state === 'running');
    const open = new Set(
      claimed.flatMap(({ isOpen: more, limitKey }) => (more && limitKey !== null ? [limitKey] : [])),
    );
    const deliveries = ordered(claimed, choice).map(({ state: _, isOpen: __, priority: ___, ...delivery }) => delivery);
    const held = rows.filter(({ state }) => state === 'held');
    return { claimed: deliveries, held, open: [...open] };
  });
}

export interface AdmittedJob extends ReadyJob {
  /** true: the limit is for the class, so that no other key waits for its turn. */
  readonly isOfClass: boolean;
  readonly priority: number;
}

/** The jobs that were admitted, in their order. */
export interface Admission {
  readonly jobs: readonly AdmittedJob[];
  /** true: others wait for a time, at which the dispatcher has to look. */
  readonly isTimed: boolean;
}

/**
 * Makes held jobs ready, those of the smallest priority and the earliest of each key first: as many as its limit and its rate leave
 * free, and no more than a few that do not run yet, so that a key with many jobs delays the others by a few only. Ready ones of a
 * larger priority do not count. Too many do no harm, since the claim counts again. Notes when the dispatcher has to look at keys
 * that wait for a time.
 */
export async function admit(knex: Knex, limits: Limits, keys: readonly string[]): Promise<Admission> {
  if (keys.length === 0) return { jobs: [], isTimed: false };
  const { rows } = await knex.raw<{
    rows: {
      readonly jobs: (AdmittedJob & { readonly runAt: number })[] | null;
      readonly keys: string[] | null;
      readonly waits: number[];
    }[];
  }>(
    `with clock as materialized (select clock_timestamp() as now), looked as (
       select asked.key, class, priority, most, gap, burst, rate.key is not null or gap is not null as is_timed, ${USED}
       from unnest(?::text[]) as asked (key) cross join clock
         cross join lateral (
           select class, priority from ${TABLES.jobs} where state = 'held' and limit_key = asked.key order by queue, priority limit 1
         ) as first
         left join ${GIVEN} on name = class
         left join ${TABLES.rates} as rate on rate.key = asked.key
     ), free as materialized (
       select key, class, is_timed, (least(${TOKENS}, most - running, running + ${AHEAD}) - ready)::int as count, case when hold > 0
         then hold when gap is null or running >= most then ${MAX_LOOK_MS}
         else used + (greatest(ready, least(${TOKENS}, running + ${AHEAD})) - burst) * gap end as wait
       from looked cross join lateral (
         select count(*) filter (where state = 'running') as running, count(*) filter (where state = 'ready' and busy.priority <= looked.priority) as ready from (
           select state, priority from ${TABLES.jobs} where limit_key = key and (state = 'running' or state = 'ready' and ${isOpen()})
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
           select id, priority, run_at from ${TABLES.jobs} where state = 'held' and limit_key = free.key and queue = lanes.queue
           order by priority, run_at limit greatest(free.count, 0) for update skip locked
         ) as waiting
         where free.count > 0 and lanes.queue not in (select queue from ${TABLES.pauses})
         order by waiting.priority, waiting.run_at limit greatest(free.count, 0)
       ) as first
     ), admitted as (
       update ${TABLES.jobs} set state = 'ready' where id = any(array(select id from next)) and state = 'held'
       returning id, queue, priority, limit_key = class as "isOfClass", extract(epoch from run_at)::float8 as "runAt"
     )
     select (select json_agg(admitted) from admitted) as jobs, array_agg(key order by key) filter (where is_timed) as keys,
       array_agg(greatest(wait, ${MIN_LOOK_MS}) order by key) filter (where is_timed) as waits
     from free`,
    [[...keys], ...limitsOf(limits)] as unknown as Knex.RawBinding[],
  );
  const [{ jobs, keys: timed, waits } = { jobs: null, keys: null, waits: [] }] = rows;
  // In a statement of its own, since it waits for claims that wait for jobs which the other has locked.
  if (timed)
    await knex.raw(
      `insert into ${TABLES.rates} (key, look_at)
       select key, clock_timestamp() + ms * interval '1 millisecond' from unnest(?::text[], ?::float8[]) as timed (key, ms) order by key
       on conflict (key) do update set look_at = excluded.look_at`,
      [timed, waits] as unknown as Knex.RawBinding[],
    );
  const inOrder = (jobs ?? [])
    .sort((a, b) => a.priority - b.priority || a.runAt - b.runAt)
    .map(({ runAt: _, ...job }) => job);
  return { jobs: inOrder, isTimed: timed !== null };
}

/**
 * Finds the keys that are due for a look, and deletes rows of keys without held jobs that say nothing any more.
 * @returns those with held jobs, at most `limit` of them. `admit` notes when to look at them next.
 */
export async function dueKeys(knex: Knex, limit: number): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { readonly key: string }[] }>(
    `with due as materialized (
       select key, greatest(arrival, held_until) as until from ${TABLES.rates} where look_at <= clock_timestamp()
       order by look_at limit ? for update skip locked
     ), looked as materialized (
       select key, until, until <= now() as is_over,
         exists (select from ${TABLES.jobs} where state = 'held' and limit_key = due.key) as holds from due
     ), gone as (
       delete from ${TABLES.rates} using looked where ${TABLES.rates}.key = looked.key and not holds and is_over
     ), later as (
       update ${TABLES.rates} set look_at = until from looked where ${TABLES.rates}.key = looked.key and not holds and not is_over
     ) select key from looked where holds`,
    [limit],
  );
  return rows.map(({ key }) => key);
}

/** Lets no job of these keys start for a time, ms. */
export async function holdKeys(knex: Knex, holds: readonly (readonly [key: string, ms: number])[]): Promise<void> {
  if (holds.length === 0) return;
  await knex.raw(
    `insert into ${TABLES.rates} as rate (key, held_until, look_at)
     select key, until, until from (
       select key, clock_timestamp() + max(ms) * interval '1 millisecond' as until
       from unnest(?::text[], ?::float8[]) as held (key, ms) group by key order by key
     ) as holds
     on conflict (key) do update set held_until = greatest(rate.held_until, excluded.held_until),
       look_at = greatest(rate.look_at, excluded.look_at)`,
    [holds.map(([key]) => key), holds.map(([, ms]) => ms)] as unknown as Knex.RawBinding[],
  );
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
