import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { BusyJob } from './process-info';

/** Rows that are read at most. */
const MAX_READ = 1000;

/** The running jobs as Postgres knows them, the longest running first: by whom they are run, only Redis knows. */
export async function readRunning(knex: Knex): Promise<readonly BusyJob[]> {
  const { rows } = await knex.raw<{ rows: BusyJob[] }>(
    `select id, class, queue, attempts + 1 as attempt, (extract(epoch from claimed_at) * 1000)::float8 as "startedAt"
     from ${TABLES.jobs} where state = 'running' order by claimed_at limit ?`,
    [MAX_READ],
  );
  return rows;
}
