import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { IS_ANY_BATCH_DUE } from './batch-settling';
import { MAY_RUN_IN_TURN, type ReadyJob } from './claim';

/** Maximum number of jobs, and of retries, that one statement makes ready. */
export const MAX_DUE = 1000;

export interface DueJob extends ReadyJob {
  /** Not null: it counts towards a limit. */
  readonly limitKey: string | null;
  /** false: it is held, since it counts towards a limit, or has a priority above 0. */
  readonly isReady: boolean;
}

/**
 * Makes scheduled jobs and retries ready that are due, the earliest first. Those with a limit are held until they are admitted,
 * those with a priority above 0 until nothing else waits.
 * @returns them, at most `MAX_DUE` of each.
 */
export async function makeDueReady(knex: Knex): Promise<DueJob[]> {
  const { rows } = await knex.raw<{ rows: DueJob[] }>(
    `with first as materialized (
       select id from ${TABLES.jobs} where state = 'scheduled' and attempts = 0 and run_at <= clock_timestamp()
       order by run_at limit ? for update skip locked
     ), retry as materialized (
       select id from ${TABLES.jobs} where state = 'scheduled' and attempts > 0 and run_at <= clock_timestamp()
       order by run_at limit ? for update skip locked
     ), moved as (
       update ${TABLES.jobs} set state = ${MAY_RUN_IN_TURN}
       where id in (select id from first union all select id from retry)
       returning id, queue, run_at, limit_key, state
     ) select id, queue, limit_key as "limitKey", state = 'ready' as "isReady" from moved order by run_at`,
    [MAX_DUE, MAX_DUE],
  );
  return rows;
}

/** SQL, after `with recursive`: the queues with jobs that are ready, by one step in the index for each, however many it has. */
export const READY_QUEUES = () => `ready_queues (queue) as (
  (select queue from ${TABLES.jobs} where state = 'ready' order by queue limit 1)
  union all
  select (select job.queue from ${TABLES.jobs} as job where job.state = 'ready' and job.queue > ready_queues.queue order by job.queue limit 1)
  from ready_queues where ready_queues.queue is not null
)`;

/** Finds the queues with jobs that are ready and have been so for at least this long, ms. */
export async function queuesReadyFor(knex: Knex, ms: number): Promise<readonly string[]> {
  const { rows } = await knex.raw<{ rows: { readonly queue: string }[] }>(
    `with recursive ${READY_QUEUES()} select queue from ready_queues
     where queue is not null and queue not in (select queue from ${TABLES.pauses}) and (
       select min(run_at) from ${TABLES.jobs} where state = 'ready' and queue = ready_queues.queue
     ) <= clock_timestamp() - ? * interval '1 millisecond'`,
    [ms],
  );
  return rows.map(({ queue }) => queue);
}

/** Bounds of a part of a queue, by the ids of jobs in it; a job that is not ready any more is no bound. */
interface Between {
  readonly after?: string | undefined;
  readonly before?: string | undefined;
  /** Only jobs that have been ready for at least this long, ms. Default 0. */
  readonly forMs?: number;
  /** true: only jobs that count towards no limit. Default false. */
  readonly isUnlimited?: boolean;
}

/** @returns the jobs of a queue that are ready, in order; none when the job `after` which they come is not ready any more. */
export async function readyJobs(
  knex: Knex,
  queue: string,
  { after, before, forMs = 0, isUnlimited = false }: Between,
  limit: number,
): Promise<ReadyJob[]> {
  const bound = (id: string | undefined) =>
    `(select run_at from ${TABLES.jobs} where id = ${id === undefined ? 'null' : '?'} and state = 'ready')`;
  const { rows } = await knex.raw<{ rows: ReadyJob[] }>(
    `select id, queue from ${TABLES.jobs} where state = 'ready' and queue = ?
       and run_at <= clock_timestamp() - ? * interval '1 millisecond' ${isUnlimited ? 'and limit_key is null' : ''}
       ${after === undefined ? '' : `and run_at > ${bound(after)}`}
       ${before === undefined ? '' : `and run_at < coalesce(${bound(before)}, 'infinity')`}
     order by run_at limit ?`,
    [queue, forMs, ...(after === undefined ? [] : [after]), ...(before === undefined ? [] : [before]), limit],
  );
  return rows;
}

const MS_UNTIL_SCHEDULED = () => `ceil(extract(epoch from least(
    (select min(run_at) from ${TABLES.jobs} where state = 'scheduled' and attempts = 0),
    (select min(run_at) from ${TABLES.jobs} where state = 'scheduled' and attempts > 0),
    (select min(look_at) from ${TABLES.rates})
  ) - clock_timestamp()) * 1000)::bigint`;

interface LookMessage {
  readonly text: string;
  /** The time until the next look is appended, ms: until the next scheduled job is due, at most this. */
  readonly maxMs: number;
}

/**
 * @param message is sent to all dispatchers. Default: nothing is sent.
 * @returns ms until the next scheduled job is due, or a key with a rate (0 or less: now), by the database's clock; undefined when
 * there is none.
 */
export async function msUntilScheduled(knex: Knex, message?: LookMessage): Promise<number | undefined> {
  const { rows } = await knex.raw<{ rows: { readonly ms: string | null }[] }>(
    `select ms::text${message ? ', pg_notify(?, ? || least(ms, ?::bigint))' : ''} from (
       select ${MS_UNTIL_SCHEDULED()} as ms
     ) as answer`,
    message ? [TABLES.leaderChannel, message.text, Math.round(message.maxMs)] : [],
  );
  const ms = rows[0]?.ms ?? null;
  return ms === null ? undefined : Number(ms);
}

/**
 * Asks in one statement whether there is nothing to do: no job is due, ready, held or running.
 * @param message is sent to all dispatchers if so. Default: nothing is sent.
 * @returns ms until the next scheduled job is due, at most `maxMs`; undefined when there is something to do.
 */
export async function msOfCalm(knex: Knex, maxMs: number, message?: LookMessage['text']): Promise<number | undefined> {
  const { rows } = await knex.raw<{ rows: { readonly ms: string }[] }>(
    `select ms::text${message === undefined ? '' : ', pg_notify(?, ? || ms)'} from (
       select least(${MS_UNTIL_SCHEDULED()}, ?::bigint) as ms
     ) as answer
     where ms > 0 and not exists (select from ${TABLES.jobs} where state = 'ready')
       and not exists (select from ${TABLES.jobs} where state = 'running')
       and not exists (select from ${TABLES.jobs} where state = 'held')
       and not ${IS_ANY_BATCH_DUE()}`,
    [...(message === undefined ? [] : [TABLES.leaderChannel, message]), Math.round(maxMs)],
  );
  return rows[0] && Number(rows[0].ms);
}
