import type { Knex } from 'knex';

/** Pools whose connections lose prepared statements, as behind a pooler in transaction mode. */
const unprepared = new WeakSet<object>();

/**
 * SQLSTATEs: the connection does not have the prepared statement, or has another client's of the same name, or a migration has
 * changed the columns that it returns.
 */
const LOST = new Set(['26000', '42P05', '0A000']);

/**
 * Runs a statement that each connection prepares once. Postgres then need not parse and plan it again, which takes longer than
 * a small statement itself. Behind a pooler that loses prepared statements, this one and all after it are sent unprepared; so
 * are all statements inside transactions.
 *
 * Postgres keeps the plan that it made when the table was small. So use this where a table that has grown since does no harm.
 * @param name of the statement. Another text needs another name.
 */
export async function runPrepared<T>(
  knex: Knex,
  name: string,
  sql: string,
  values: readonly unknown[],
): Promise<{ readonly rows: T[] }> {
  const run = (options: object) => knex.raw<{ rows: T[] }>(sql, values as Knex.RawBinding[]).options(options);
  const { client } = knex;
  if (knex.isTransaction || unprepared.has(client)) return run({});
  try {
    return await run({ name });
  } catch (thrown) {
    if (!LOST.has(String((thrown as { readonly code?: unknown }).code))) throw thrown;
    unprepared.add(client);
    return run({});
  }
}
