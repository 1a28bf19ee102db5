import assert from 'node:assert/strict';
import type { Knex } from 'knex';

/** @returns how many rows and entries of indexes Postgres reads for this work, those of its own tables left out. */
export function rowsRead(knex: Knex, work: (transaction: Knex.Transaction) => Promise<unknown>): Promise<number> {
  return knex.transaction(async (transaction) => {
    // What other processes of Postgres read is not counted for the transaction.
    await transaction.raw('set local max_parallel_workers_per_gather = 0');
    const count = async (): Promise<number> => {
      const { rows } = await transaction.raw<{ rows: { readonly count: number }[] }>(
        `select sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::int as count
         from pg_class where relnamespace = 'public'::regnamespace`,
      );
      return rows[0]?.count ?? assert.fail('Postgres counts what it reads');
    };
    const before = await count();
    await work(transaction);
    return (await count()) - before;
  });
}
