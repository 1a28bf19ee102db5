import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { MAY_RUN_IN_TURN } from './claim';

/** A query that selects ids of jobs and locks their rows, in the order in which they are to run. */
export interface ChosenJobs {
  readonly sql: string;
  readonly values: readonly Knex.RawBinding[];
}

/** Makes scheduled jobs and retries ready, at the tails of their queues. They keep their attempts. @returns how many. */
export async function makeReady(knex: Knex, { sql, values }: ChosenJobs): Promise<number> {
  return count(
    knex,
    `with chosen as materialized (${sql})
     update ${TABLES.jobs} set state = ${MAY_RUN_IN_TURN}, left_since = null,
       run_at = clock_timestamp() + position * interval '1 microsecond'
     from (select id, row_number() over () as position from chosen) as chosen
     where ${TABLES.jobs}.id = chosen.id`,
    values,
  );
}

/** Deletes the chosen jobs of a table, of which none runs. @returns how many. */
export async function deleteChosen(knex: Knex, table: string, { sql, values }: ChosenJobs): Promise<number> {
  return count(knex, `delete from ${table} where id in (${sql})`, values);
}

/** Deletes jobs of a queue that are ready or held, except those enqueued after this time of Postgres. @returns how many. */
export async function clearQueue(knex: Knex, queue: string, enqueuedUntil: string, limit: number): Promise<number> {
  return count(
    knex,
    `delete from ${TABLES.jobs} where id = any(array(
       select id from ${TABLES.jobs} where state in ('ready', 'held') and queue = ? and created_at <= ?::timestamptz
       limit ? for update
     ))`,
    [queue, enqueuedUntil, limit],
  );
}

async function count(knex: Knex, sql: string, values: readonly Knex.RawBinding[]): Promise<number> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(sql, values);
  return rowCount;
}
