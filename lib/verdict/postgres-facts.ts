import type { Knex } from 'knex';

export interface PostgresFacts {
  /** `16.4` */
  readonly version: string;
  /** Connections that count against what is allowed, and that. */
  readonly used: number;
  readonly allowed: number;
  readonly sizeBytes: number;
  /** What one round trip took, ms. */
  readonly pingMs: number;
}

/** Managed plans allow each role so many connections; elsewhere the server's own limit holds. */
const SQL = `
  select split_part(current_setting('server_version'), ' ', 1) as version,
    (select count(*)::int from pg_stat_activity
      where backend_type = 'client backend' and (r.rolconnlimit < 0 or usesysid = r.oid)) as used,
    case when r.rolconnlimit < 0
      then current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      else r.rolconnlimit end as allowed,
    pg_database_size(current_database())::float8 as size
  from pg_roles r where r.rolname = current_user`;

/** @throws what Postgres does. */
export async function readPostgres(knex: Knex): Promise<PostgresFacts> {
  const begun = performance.now();
  await knex.raw('select 1');
  const pingMs = performance.now() - begun;
  const { rows } = await knex.raw<{ rows: { version: string; used: number; allowed: number; size: number }[] }>(SQL);
  const [row] = rows;
  if (!row) throw new Error('Postgres knows no role of this name');
  return { version: row.version, used: row.used, allowed: row.allowed, sizeBytes: row.size, pingMs };
}
