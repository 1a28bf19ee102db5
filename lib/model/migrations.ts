import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import { TABLES } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { type ImportFile, importExports, withoutExtension } from '../core/load-classes';
import { loadFault } from '../core/load-fault';

/** Table of Catamount's own migrations, in the schema of its tables. */
export const OUR_TABLE = 'catamount_migrations';
/** Table of the app's migrations: knex's default, so that an existing app keeps its history. */
export const APP_TABLE = 'knex_migrations';

/** The folders of migrations, as absolute paths. A missing folder has no migrations. */
export interface Migrations {
  /** Catamount's own, recorded in `OUR_TABLE`. */
  readonly ours: readonly string[];
  /** The app's, recorded in `APP_TABLE`; null if the app uses a migration tool of its own. */
  readonly apps: readonly string[] | null;
  /** Default: Node's own `import()`. */
  readonly importFile?: ImportFile | undefined;
}

export interface MigrationFile {
  /** Without an extension, so that a database has the same names whether TypeScript or the build migrated it. */
  readonly name: string;
  readonly file: string;
}

/** @returns the migrations of these folders as one history, in the order of their names. */
export function migrationFiles(folders: readonly string[]): MigrationFile[] {
  return folders
    .filter((folder) => fs.existsSync(folder))
    .flatMap((folder) => fs.readdirSync(folder).map((name) => path.join(folder, name)))
    .filter((file) => /\.[cm]?[jt]s$/.test(file) && !/\.d\.[cm]?ts$/.test(file))
    .map((file) => ({ name: path.basename(withoutExtension(file)), file }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @throws UserError that names the file, if it cannot be loaded or does not export both `up` and `down`. */
export async function importMigration({ file }: MigrationFile, importFile?: ImportFile): Promise<Knex.Migration> {
  const exported = await importExports(file, importFile).catch((thrown: unknown) => {
    throw Object.assign(new UserError(`${file}: ${loadFault(file, thrown).message}`, EXIT.config), { cause: thrown });
  });
  for (const name of ['up', 'down'] as const) {
    if (typeof exported === 'object' && exported !== null && typeof Reflect.get(exported, name) === 'function')
      continue;
    const remedy = `write export async function ${name}(knex) { … }`;
    throw new UserError(`${file}: it exports no function ${name}: ${remedy}`, EXIT.config);
  }
  return exported as Knex.Migration;
}

export interface MigrationTable {
  readonly table: string;
  /** undefined if the search path finds it. */
  readonly schema: string | undefined;
}

export function ourTable(): MigrationTable {
  return { table: OUR_TABLE, schema: TABLES.schema };
}

/**
 * Finds the app's table. With DATABASE_SCHEMA it is in that schema, since several apps may share the database. But a
 * history that the app already has, in the search path, stays where it is.
 */
export async function appTable(knex: Knex, apps: readonly string[]): Promise<MigrationTable> {
  const found = { table: APP_TABLE, schema: undefined };
  if (TABLES.schema === undefined) return found;
  const recorded = await namesIn(knex, found);
  const isApps = migrationFiles(apps).some(({ name }) => recorded?.has(name));
  return isApps ? found : { table: APP_TABLE, schema: TABLES.schema };
}

export function rowsOf(knex: Knex, { table, schema }: MigrationTable): Knex.QueryBuilder {
  return schema === undefined ? knex(table) : knex(table).withSchema(schema);
}

export async function tableExists(knex: Knex, { table, schema }: MigrationTable): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: { readonly there: boolean }[] }>(
    'select to_regclass(?) is not null as there',
    [schema === undefined ? table : `"${schema}".${table}`],
  );
  return rows[0]?.there === true;
}

/** @returns the names in a table, without extensions; undefined if the table does not exist. */
async function namesIn(knex: Knex, table: MigrationTable): Promise<ReadonlySet<string> | undefined> {
  if (!(await tableExists(knex, table))) return undefined;
  const names: string[] = await rowsOf(knex, table).pluck('name');
  return new Set(names.map(withoutExtension));
}

/**
 * Lists all migrations, Catamount's first, and whether they have run. Unlike knex's `list` it creates no tables, since
 * it may run in several processes next to a `migrateUp`.
 */
export async function migrationStates(
  knex: Knex,
  { ours, apps }: Migrations,
): Promise<{ readonly name: string; readonly done: boolean }[]> {
  const own = await namesIn(knex, ourTable());
  const app = apps === null ? undefined : await namesIn(knex, await appTable(knex, apps));
  const states = (folders: readonly string[], done: ReadonlySet<string> = new Set()) =>
    migrationFiles(folders).map(({ name }) => ({ name, done: done.has(name) }));
  return [...states(ours, own), ...states(apps ?? [], app)];
}

/** @returns the names of the migrations that have not run yet. */
export async function pendingMigrations(knex: Knex, migrations: Migrations): Promise<string[]> {
  return (await migrationStates(knex, migrations)).filter(({ done }) => !done).map(({ name }) => name);
}
