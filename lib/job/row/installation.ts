import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/**
 * Tells this database from every other: the identifier of its server, which initdb makes, and the database's own. A copy on
 * another server, or under another name, has another one. A backup that is restored in place has the same.
 */
export const ORIGIN_SQL = `system_identifier::text || '/' || (select oid from pg_database where datname = current_database())
  from pg_control_system()`;

/** @returns where this database is, and where its tables were made; null when `migrate` has not noted that. */
export async function readInstallation(knex: Knex): Promise<{ readonly here: string; readonly made: string | null }> {
  const { rows } = await knex.raw<{ rows: { readonly here: string; readonly made: string | null }[] }>(
    `select (select ${ORIGIN_SQL}) as here, (select origin from ${TABLES.installation}) as made`,
  );
  return rows[0] ?? { here: '', made: null };
}

/** @returns true while this database is a copy of another one, whose jobs have not been adopted. */
export async function isCopy(knex: Knex): Promise<boolean> {
  const { here, made } = await readInstallation(knex);
  return made !== here;
}

/** @returns true when the tables were made there. */
export async function isMadeAt(knex: Knex, origin: string): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: unknown[] }>(`select 1 from ${TABLES.installation} where origin = ?`, [
    origin,
  ]);
  return rows.length > 0;
}

/** Makes the jobs in this database run here, although they were copied from elsewhere. @returns false when they did already. */
export async function adoptDatabase(knex: Knex): Promise<boolean> {
  const { rowCount } = await knex.raw<{ rowCount: number }>(
    `insert into ${TABLES.installation} (origin) select ${ORIGIN_SQL}
     on conflict (singleton) do update set origin = excluded.origin
     where ${TABLES.installation}.origin <> excluded.origin`,
  );
  return rowCount > 0;
}
