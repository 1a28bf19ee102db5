import type { Knex } from 'knex';
import { TABLES } from '../core/config';

/**
 * Tries a write that changes nothing: a read-only Postgres rejects it like any other, and the pool then closes a
 * session that stays read-only.
 * @returns true while Postgres rejects writes; false also while the table does not exist. @throws its other errors.
 */
export async function refusesWrites(knex: Knex): Promise<boolean> {
  try {
    // A wait for a lock on the table is not a rejection.
    await knex.raw(`set local lock_timeout = '300ms'; update ${TABLES.jobs} set id = id where false`);
  } catch (thrown) {
    const { code } = thrown as { readonly code?: unknown };
    if (code !== '25006' && code !== '42P01' && code !== '55P03') throw thrown;
    return code === '25006';
  }
  return false;
}
