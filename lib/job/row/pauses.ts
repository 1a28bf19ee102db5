import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/** The time at which a queue was paused, and the operator who paused it. */
export interface Pause {
  /** The time of the pause. */
  readonly since: Date;
  /** Who paused it, such as `cli:ann`, or `app` for the app's own code. */
  readonly by: string;
}

/** Pauses a queue. @returns false when it is paused already. */
export async function pauseQueue(knex: Knex, queue: string, by: string): Promise<boolean> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `insert into ${TABLES.pauses} (queue, paused_at, paused_by) values (?, clock_timestamp(), ?) on conflict do nothing`,
    [queue, by],
  );
  return rowCount > 0;
}

/** @returns false when it was not paused. */
export async function resumeQueue(knex: Knex, queue: string): Promise<boolean> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(`delete from ${TABLES.pauses} where queue = ?`, [queue]);
  return rowCount > 0;
}
