import type { Knex } from 'knex';
import { truncate } from '../support/text-table';

/** The longest statement in the message of an error, characters. */
const MAX_STATEMENT = 500;

/**
 * Call with each knex, whose `compileSqlOnError` must be false. knex puts the statement before the message of Postgres, where a
 * display of one line would cut the message off. This puts the statement after it.
 */
export function putReasonFirst(knex: Knex): void {
  knex.on('query-error', (error: Error, { sql }: { readonly sql: string }) => {
    const before = `${sql} - `;
    if (!error.message.startsWith(before)) return;
    const statement = truncate(sql.replace(/\s+/g, ' ').trim(), MAX_STATEMENT);
    error.message = `${error.message.slice(before.length)} (in: ${statement})`;
  });
}
