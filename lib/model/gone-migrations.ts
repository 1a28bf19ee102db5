import path from 'node:path';
import type { Knex } from 'knex';
import { withoutExtension } from '../core/load-classes';
import { appTable, type Migrations, migrationFiles, rowsOf, tableExists } from './migrations';

/**
 * Finds the app's migrations that were applied to this database and whose files are gone. Nothing can roll them back,
 * and a new database would lack what they made. They are only warned of, since an older release, to which a platform
 * may have rolled back, does not have their files either.
 * @returns a sentence for each.
 */
export async function goneMigrations(knex: Knex, { apps }: Migrations): Promise<string[]> {
  const [folder] = apps ?? [];
  if (apps === null || folder === undefined) return [];
  const table = await appTable(knex, apps);
  if (!(await tableExists(knex, table))) return [];
  const existing = new Set(migrationFiles(apps).map(({ name }) => name));
  const names: string[] = await rowsOf(knex, table).orderBy('id').pluck('name');
  const gone = names.filter((name) => !existing.has(withoutExtension(name)));
  return gone.map((name) => {
    const file = path.join(folder, name === withoutExtension(name) ? `${name}${extensionIn(folder)}` : name);
    return `${file}: it was applied to this database, but is gone: put it back, unless this is an older release`;
  });
}

/** @returns the extension of the other migrations, since names in the table may have none. */
function extensionIn(folder: string): string {
  const [other] = migrationFiles([folder]);
  return other ? path.extname(other.file) : '.js';
}
