import type { Knex } from 'knex';

/** Managed plans limit the connections of each role. Without such a limit the server's own applies. */
export const ALLOWED_SQL = `case when r.rolconnlimit < 0
  then current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
  else r.rolconnlimit end`;

/** @returns the maximum number of connections that this role may open in total. @throws Error from Postgres. */
export async function readAllowedConnections(knex: Knex): Promise<number> {
  const { rows } = await knex.raw<{ rows: { allowed: number }[] }>(
    `select ${ALLOWED_SQL} as allowed from pg_roles r where r.rolname = current_user`,
  );
  return rows[0]?.allowed ?? Number.POSITIVE_INFINITY;
}
