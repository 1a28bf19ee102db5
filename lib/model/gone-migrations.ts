import path from 'node:path';
import type { Knex } from 'knex';
import { withoutExtension } from '../core/load-classes';
import { appTable, type Migrations, migrationFiles, rowsOf, tableExists } from './migrations';

/**
 * Finds the app's migrations that were applied to this database and that no file has any more. Nothing can take them
 * back, and a new database would not have what they made; an older release that a platform has gone back to lacks them,
 * too, so they only are told.
 * @returns a sentence for each.
 */
export async function goneMigrations(knex: Knex, { ours, apps }: Migrations): Promise<string[]> {
  const [folder] = apps ?? [];
  if (apps === null || folder === undefined) return [];
  const table = await appTable(knex, apps);
  if (!(await tableExists(knex, table))) return [];
  // Those of Catamount stand in the table, too, where an older release has been.
  const known = new Set(migrationFiles([...ours, ...apps]).map(({ name }) => name));
  const names: string[] = await rowsOf(knex, table).orderBy('id').pluck('name');
  const gone = names.filter((name) => !known.has(withoutExtension(name)));
  return gone.map((name) => {
    const file = path.join(folder, name === withoutExtension(name) ? `${name}${extensionIn(folder)}` : name);
    return `${file}: it was applied to this database and is gone: put it back, unless an older release is to run here`;
  });
}

/** @returns the extension of the other migrations, since the table may have names without one. */
function extensionIn(folder: string): string {
  const [other] = migrationFiles([folder]);
  return other ? path.extname(other.file) : '.js';
}
