import type { Knex } from 'knex';
import type { SetName } from './entry';
import { SET_TABLES } from './set-table';

/** Counts end here, so that they stay fast. */
export const MAX_COUNTED = 10_000;

/** Counts the jobs of a set, up to 10,000. @throws errors of Postgres. */
export async function countSet(knex: Knex, name: SetName): Promise<number> {
  const { table, where } = SET_TABLES[name];
  const { rows } = await knex.raw<{ rows: { readonly count: number }[] }>(
    `select count(*)::int as count from (select 1 from ${table()} where ${where.sql} limit ?) as counted`,
    [...where.values, MAX_COUNTED],
  );
  return rows[0]?.count ?? 0;
}
