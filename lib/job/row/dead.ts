import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { MAY_RUN_IN_TURN } from './claim';

/** What is known of a job at its death, besides what its row has. */
export interface DeadJob {
  readonly id: string;
  /** The text of a `JobHistory`. */
  readonly history: string;
  /** Name of the latest error. */
  readonly error: string;
  readonly attempts: number;
  /** The messages of its errors and the reason, in lower case. */
  readonly messages: string;
}

/** A statement that deletes rows of `job_queue` and returns them. */
export interface Deletion {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** Maximum length of the text that is searched besides the messages, characters. */
const MAX_SEARCHED = 2000;

/** SQL: the payload without what `->` of Postgres cannot read: NUL, and halves of surrogate pairs. */
const READABLE = `regexp_replace(payload::text, '\\\\u(0000|d[89a-f][0-9a-f]{2})', '\\\\ufffd', 'gi')::json`;

/** SQL: what a search covers besides the messages, in lower case by the rules of the database, not of the columns. */
export const SEARCH = `lower(left(concat_ws(E'\\n', id::text, class, array_to_string(tags, E'\\n'),
  ${READABLE} -> 'attrs' -> 'requestId', ${READABLE} -> 'attrs' -> 'attributes', ${READABLE} -> 'args'), ${MAX_SEARCHED}) collate "default")`;

/** Moves jobs that have died to `job_dead`, in the statement that ends their runs. @returns their ids. */
export async function insertDead(knex: Knex, jobs: readonly DeadJob[], { sql, values }: Deletion): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `with gone as (${sql}),
     given as (select * from unnest(?::uuid[], ?::json[], ?::text[], ?::int[], ?::text[])
       as job (id, history, error, attempts, messages))
     insert into ${TABLES.dead} (id, queue, class, payload, tags, limit_key, priority, batch_id, cursor, steps, progress, search, history, error, attempts, messages)
     select id, queue, class, payload, tags, limit_key, priority, batch_id, cursor, steps, progress, ${SEARCH}, given.history, given.error, given.attempts, given.messages
     from gone join given using (id)
     returning id`,
    [
      ...values,
      jobs.map(({ id }) => id),
      jobs.map(({ history }) => history),
      jobs.map(({ error }) => error),
      jobs.map(({ attempts }) => attempts),
      jobs.map(({ messages }) => messages),
    ] as unknown as Knex.RawBinding[],
  );
  return rows.map(({ id }) => id);
}

export const KILLED = 'killed by an operator';

/** Moves jobs that an operator kills to `job_dead`; what their runs have left stays. @returns how many. */
export async function killJobs(knex: Knex, { sql, values }: Deletion): Promise<number> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `with gone as (${sql})
     insert into ${TABLES.dead} (id, queue, class, payload, tags, limit_key, priority, batch_id, cursor, steps, progress, search, history, error, attempts, messages)
     select id, queue, class, payload, tags, limit_key, priority, batch_id, cursor, steps, progress, ${SEARCH},
       (coalesce(history::jsonb, '{}') || jsonb_build_object('reason', ?::text))::json, coalesce(error, ''), attempts,
       concat_ws(E'\\n', lower(?::text), messages)
     from gone`,
    [...values, KILLED, KILLED] as unknown as Knex.RawBinding[],
  );
  return rowCount;
}

/**
 * Puts dead jobs back on their queues with all their attempts again; their errors stay readable.
 * @param deletion deletes rows of `job_dead` and returns them.
 * @returns how many.
 */
export async function reviveJobs(knex: Knex, { sql, values }: Deletion): Promise<number> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `with gone as (${sql})
     insert into ${TABLES.jobs} (id, queue, class, payload, tags, limit_key, priority, batch_id, cursor, steps, progress, history, error, messages, state, run_at)
     select id, queue, class, payload, tags, limit_key, priority, batch_id, cursor, steps, progress, (history::jsonb - '{reason,attemptsBy,firstFailedAt}'::text[])::json,
       error, messages, ${MAY_RUN_IN_TURN}, clock_timestamp() + row_number() over (order by died_at, id) * interval '1 microsecond'
     from gone on conflict (id) do nothing`,
    values as Knex.RawBinding[],
  );
  return rowCount;
}

/** Maximum number of dead jobs per queue, and days for which they stay; both are Sidekiq's. The oldest are deleted. */
export const MAX_DEAD = 10_000;
const DEAD_DAYS = 180;

/** Dead jobs that were deleted, because their queue had more than 10,000 or they had been dead for 180 days. */
export interface DroppedJobs {
  readonly queue: string;
  readonly count: number;
  readonly reason: 'limit' | 'age';
}

/** Deletes dead jobs beyond the limit of their queue, and those that are too old by the database's clock. */
export async function pruneDead(knex: Knex): Promise<readonly DroppedJobs[]> {
  const { rows } = await knex.raw<{ rows: DroppedJobs[] }>(
    `with ranked as (
       select id, queue, died_at < now() - ? * interval '1 day' as old,
         row_number() over (partition by queue order by died_at desc, id) as rank
       from ${TABLES.dead}
     ), gone as (
       delete from ${TABLES.dead} using ranked where (old or rank > ?) and ${TABLES.dead}.id = ranked.id
       returning ranked.queue, old
     )
     select queue, count(*)::int as count, case when old then 'age' else 'limit' end as reason
     from gone group by queue, old order by queue, old`,
    [DEAD_DAYS, MAX_DEAD],
  );
  return rows;
}

export async function deadByQueue(knex: Knex): Promise<ReadonlyMap<string, number>> {
  const { rows } = await knex.raw<{ rows: { readonly queue: string; readonly size: number }[] }>(
    `select queue, count(*)::int as size from ${TABLES.dead} group by queue`,
  );
  return new Map(rows.map(({ queue, size }) => [queue, size]));
}
