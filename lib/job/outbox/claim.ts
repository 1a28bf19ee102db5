import type { Knex } from 'knex';
import type { OutboxRow } from './outbox';

export interface ClaimedRow extends OutboxRow {
  /** Since when it is due, ms since 1970. */
  readonly dueAt: number;
}

export interface Claim {
  /** Of each queue the oldest first. */
  readonly rows: readonly ClaimedRow[];
  /** There may be more. */
  readonly more: boolean;
  /** Of the database that they come from. */
  readonly installation: string | null;
}

// The queues of rows that are to be dispatched, one step in the index each, however many rows they have.
const QUEUES = `queues (queue) as (
  (select queue from job_outbox where dispatched_at is null order by queue limit 1)
  union all
  select (select o.queue from job_outbox o where o.dispatched_at is null and o.queue > queues.queue order by o.queue limit 1)
  from queues where queues.queue is not null
)`;

const DUE = 'dispatched_at is null and run_at <= (select clock_timestamp())';

/** All queues by age: one look into one index. */
const OF_ALL = `with due as (
  select id, ?::int as share from job_outbox where ${DUE} order by run_at limit ? for update skip locked
)`;

/** The same share for each queue: the rows of those that get nothing are not even looked at. */
const OF_OTHERS = `with recursive ${QUEUES}, others as (
  select queue from queues where queue <> all(?::text[])
), share as (
  select ceil(?::float8 / greatest(1, count(*)))::int as rows from others
), due as (
  select chosen.id, rows as share from share cross join others cross join lateral (
    select id from job_outbox where ${DUE} and queue = others.queue
    order by run_at limit share.rows for update skip locked
  ) as chosen
)`;

type FoundRow = OutboxRow & { readonly due: string; readonly share: number; readonly installation: string | null };

/**
 * Takes what is due and marks it dispatched: the caller dispatches before it commits, or rolls back. Rows that another
 * relay has in hand are passed over.
 * @param except queues that get nothing.
 */
export async function claimDue(trx: Knex.Transaction, limit: number, except: readonly string[] = []): Promise<Claim> {
  const { rows: found } = await trx.raw<{ rows: FoundRow[] }>(
    `${except.length === 0 ? OF_ALL : OF_OTHERS}
     update job_outbox set dispatched_at = clock_timestamp() from due where job_outbox.id = due.id
     returning job_outbox.id, queue, payload, (extract(epoch from run_at) * 1000000)::bigint::text as due, share,
       (select id::text from job_installation) as installation`,
    except.length === 0 ? [limit, limit] : [[...except], limit],
  );
  const counts = new Map<string, number>();
  for (const { queue } of found) counts.set(queue, (counts.get(queue) ?? 0) + 1);
  const share = found[0]?.share ?? 1;
  const rows = found.map(({ id, queue, payload, due }) => ({ id, queue, payload, dueAt: Number(due) / 1000 }));
  return {
    // UPDATE … RETURNING promises no order.
    rows: rows.sort((a, b) => a.dueAt - b.dueAt),
    installation: found[0]?.installation ?? null,
    more: rows.length >= share && (except.length === 0 || Math.max(...counts.values()) >= share),
  };
}

/**
 * @param except queues that do not count.
 * @returns ms until the next row is due (0 or less: now), by the database's clock; undefined when none waits.
 */
export async function msUntilDue(knex: Knex, except: readonly string[] = []): Promise<number | undefined> {
  const soonest =
    except.length === 0
      ? 'select min(run_at) as at from job_outbox where dispatched_at is null'
      : `with recursive ${QUEUES}
         select min((
           select min(run_at) from job_outbox where dispatched_at is null and queue = queues.queue
         )) as at from queues where queue <> all(?::text[])`;
  const { rows } = await knex.raw<{ rows: { readonly ms: string | null }[] }>(
    `select ceil(extract(epoch from at - clock_timestamp()) * 1000)::text as ms from (${soonest}) as soonest`,
    except.length === 0 ? [] : [[...except]],
  );
  const ms = rows[0]?.ms ?? null;
  return ms === null ? undefined : Number(ms);
}
