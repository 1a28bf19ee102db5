import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/** The time at which a queue was paused, and the operator who paused it. */
export interface Pause {
  readonly since: Date;
  readonly by: string;
}

/** Reads the names of the queues that are paused. */
export async function readPauses(knex: Knex): Promise<ReadonlySet<string>> {
  const { rows } = await knex.raw<{ rows: { readonly queue: string }[] }>(`select queue from ${TABLES.pauses}`);
  return new Set(rows.map(({ queue }) => queue));
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
