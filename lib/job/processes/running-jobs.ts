import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/** Rows that are read at most. */
const MAX_READ = 1000;

/** A running job, without its record. */
export interface RunningJob {
  /** The job name. */
  readonly class: string;
  /** ms since 1970. */
  readonly startedAt: number;
  /** Identity of the processor that runs it. */
  readonly identity: string;
}

/** The running jobs, the longest running first. @throws errors of Postgres. */
export async function readRunning(knex: Knex): Promise<readonly RunningJob[]> {
  const { rows } = await knex.raw<{ rows: RunningJob[] }>(
    `select class, (extract(epoch from claimed_at) * 1000)::float8 as "startedAt", claimed_by as identity
     from ${TABLES.jobs} where state = 'running' order by claimed_at limit ?`,
    [MAX_READ],
  );
  return rows;
}
