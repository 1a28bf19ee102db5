import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/** Rows that are read at most. */
const MAX_READ = 1000;

/** A running job. */
export interface RunningJob {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** ms since 1970. */
  readonly startedAt: number;
  /** Identity of the processor that runs it. */
  readonly identity: string;
}

/** The running jobs, the longest running first. @param id only the job with this id. @throws errors of Postgres. */
export async function readRunning(knex: Knex, id?: string): Promise<readonly RunningJob[]> {
  const { rows } = await knex.raw<{ rows: RunningJob[] }>(
    `select id, class, queue, attempts + 1 as attempt, (extract(epoch from claimed_at) * 1000)::float8 as "startedAt",
       claimed_by as identity
     from ${TABLES.jobs} where state = 'running' ${id === undefined ? '' : 'and id = ?::uuid'} order by claimed_at limit ?`,
    [...(id === undefined ? [] : [id]), MAX_READ],
  );
  return rows;
}
