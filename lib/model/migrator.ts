import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import { type ImportFile, importExports, withoutExtension } from '../core/load-classes';

const TABLE = 'knex_migrations';

interface MigrationFile {
  readonly name: string;
  readonly file: string;
}

/**
 * Migrations of several folders as one history. Names are stored without their extension, so that a database migrated
 * from TypeScript and one migrated from the build have the same names. A missing folder has no migrations.
 */
export class MigrationFolders implements Knex.MigrationSource<MigrationFile> {
  constructor(
    private readonly folders: readonly string[],
    private readonly importFile?: ImportFile,
  ) {}

  async getMigrations(): Promise<MigrationFile[]> {
    return this.folders
      .filter((folder) => fs.existsSync(folder))
      .flatMap((folder) => fs.readdirSync(folder).map((name) => path.join(folder, name)))
      .filter((file) => /\.[cm]?[jt]s$/.test(file) && !/\.d\.[cm]?ts$/.test(file))
      .map((file) => ({ name: path.basename(withoutExtension(file)), file }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  getMigrationName(migration: MigrationFile): string {
    return migration.name;
  }

  async getMigration(migration: MigrationFile): Promise<Knex.Migration> {
    return (await importExports(migration.file, this.importFile)) as Knex.Migration;
  }
}

function settings(folders: readonly string[], importFile?: ImportFile): Knex.MigratorConfig {
  return { migrationSource: new MigrationFolders(folders, importFile), tableName: TABLE };
}

/**
 * Runs all pending migrations.
 * @returns the names of those that ran, in order.
 * @throws knex's MigrationLocked while another process migrates.
 */
export async function migrateUp(knex: Knex, folders: readonly string[], importFile?: ImportFile): Promise<string[]> {
  await makeTables(knex, folders);
  // A platform that goes back to an older release runs its migrations: those that only the newer one has stay applied.
  const config = { ...settings(folders, importFile), disableMigrationsListValidation: true };
  const [, names] = (await knex.migrate.latest(config)) as [number, string[]];
  return names;
}

/** Rolls back the last batch, or all of them. @returns the names rolled back. */
export async function migrateDown(
  knex: Knex,
  folders: readonly string[],
  all = false,
  importFile?: ImportFile,
): Promise<string[]> {
  await makeTables(knex, folders);
  const [, names] = (await knex.migrate.rollback(settings(folders, importFile), all)) as [number, string[]];
  return names;
}

/**
 * Creates knex's tables under a lock of ours, since knex creates its own lock table without one: when two processes
 * migrate a new database at once, both may fail and leave a second row in it, which blocks all migrations for good.
 */
async function makeTables(knex: Knex, folders: readonly string[]): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw("select pg_advisory_xact_lock(hashtext('catamount migrations'))");
    await trx.migrate.currentVersion(settings(folders));
  });
}

/**
 * Lists all migrations, and whether they have run. Unlike knex's `list` it creates no tables: this may run in several
 * processes beside a `migrateUp`.
 */
export async function migrationStates(
  knex: Knex,
  folders: readonly string[],
): Promise<{ readonly name: string; readonly done: boolean }[]> {
  const { rows } = await knex.raw<{ rows: { readonly there: boolean }[] }>(
    'select to_regclass(?) is not null as there',
    [TABLE],
  );
  const done = new Set<string>(rows[0]?.there ? await knex(TABLE).pluck('name') : []);
  const files = await new MigrationFolders(folders).getMigrations();
  return files.map(({ name }) => ({ name, done: done.has(name) }));
}

/** Returns the names of the migrations that have not run yet. */
export async function pendingMigrations(knex: Knex, folders: readonly string[]): Promise<string[]> {
  return (await migrationStates(knex, folders)).filter(({ done }) => !done).map(({ name }) => name);
}
