import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { CLAIM, type Claimant, COLUMNS, chosen, IS_READY_OR_HELD, ordered } from './claim';
import type { Delivery } from './job-row';

/** SQL: a job with a priority is ready, as in the index `job_queue_ready_special`. If it has a limit, that has admitted it. */
const READY = `state = 'ready' and priority <> 0`;

/**
 * SQL: a job is held for its priority, which is above 0, until nothing else of its queue waits: so scans for plain jobs need not
 * pass over it. It is found by `job_queue_held`.
 */
const HELD = `state = 'held' and limit_key is null`;

const IN_TURN = 'priority, run_at';
/** Names all columns of the index. Otherwise Postgres would sort all held jobs, since `is null` says nothing about an order. */
const HELD_IN_TURN = `limit_key, queue, ${IN_TURN}`;

/**
 * SQL: the first jobs of a queue that may run, in the order of their priorities and times; jobs of limits are among them. It locks
 * few more rows than it returns, and passes over those that others have locked: the three parts are read one after the other.
 */
const FIRST_BY_PRIORITY = () => {
  const first = (where: string, order: string) =>
    `select * from (
      select id, priority, run_at from ${TABLES.jobs} where ${where} and queue = served.name order by ${order} limit most for update skip locked
    ) as first`;
  return `${first(`${READY} and priority < 0`, IN_TURN)}
    union all ${first(`state = 'ready' and priority = 0`, 'run_at')}
    union all select * from (
      ${first(HELD, HELD_IN_TURN)}
      union all ${first(`${READY} and priority > 0`, IN_TURN)}
      order by priority, run_at limit most
    ) as later`;
};

/**
 * SQL: true when jobs with a priority may run, otherwise null. The order has Postgres use the index; `exists` would ignore it.
 * @param inQueues the condition for their queues, which is used twice.
 */
const anyPrioritised = (inQueues: string) => {
  const any = (where: string, order: string) =>
    `(select true from ${TABLES.jobs} as other where ${where} and ${inQueues} order by ${order} limit 1)`;
  return `coalesce(${any(READY, `queue, ${IN_TURN}`)}, ${any(HELD, HELD_IN_TURN)})`;
};

type Found = Delivery & { readonly priority: number; readonly isMore: boolean };

interface PriorityClaim {
  readonly claimed: Delivery[];
  /** false: no job with a priority waits. */
  readonly isMore: boolean;
}

/**
 * Claims the first jobs of these queues in the order of their priorities, plain ones included. Those with a limit are left to
 * `claimLimited`, but count.
 */
export async function claimByPriority(
  knex: Knex,
  { identity, origin }: Claimant,
  { queues, limit }: { readonly queues: readonly string[]; readonly limit: number },
): Promise<PriorityClaim> {
  const [ids, values] = chosen({ queues, limit }, FIRST_BY_PRIORITY);
  const { rows } = await knex.raw<{ rows: (Found | { readonly id: null; readonly isMore: boolean })[] }>(
    `with claimed as (
       ${CLAIM(ids, IS_READY_OR_HELD)}
       returning ${COLUMNS}, priority
     ) select claimed.*, "isMore" from (select ${anyPrioritised('queue = any(?::text[])')} as "isMore") as others left join claimed on true`,
    [identity, ...values, origin, queues, queues] as unknown as Knex.RawBinding[],
  );
  const found = rows.filter((row): row is Found => row.id !== null);
  return {
    claimed: ordered(found, { queues, limit }).map(({ priority: _, isMore: __, ...delivery }) => delivery),
    isMore: rows[0]?.isMore === true,
  };
}

/** @returns true when jobs with a priority may run, in a queue that is not paused. */
export async function isAnyPrioritised(knex: Knex): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: { readonly found: true | null }[] }>(
    `select ${anyPrioritised(`queue not in (select queue from ${TABLES.pauses})`)} as found`,
  );
  return rows[0]?.found === true;
}
