import type { Knex } from 'knex';
import { TABLES } from '../core/config';
import { type ImportFile, withoutExtension } from '../core/load-classes';
import {
  APP_TABLE,
  appTable,
  importMigration,
  type MigrationFile,
  type Migrations,
  type MigrationTable,
  migrationFiles,
  ourTable,
  rowsOf,
  tableExists,
} from './migrations';

/** Receives the names of Catamount's migrations that have been copied from the app's table into their own. */
type OnAdopted = (names: readonly string[]) => void;

/** Migrations that are recorded in one table. */
interface History extends MigrationTable {
  readonly isOurs: boolean;
  readonly files: readonly MigrationFile[];
  readonly importFile: ImportFile | undefined;
}

/** Gives knex the migrations of a history, under the names that its table already has. */
class HistorySource implements Knex.MigrationSource<MigrationFile> {
  private readonly stored: ReadonlyMap<string, string>;
  private readonly keepsExtensions: boolean;

  /** @param remnants names in the table that do not belong to this history: running them, up or down, does nothing. */
  constructor(
    private readonly history: History,
    stored: readonly string[],
    private readonly remnants: readonly string[] = [],
  ) {
    this.stored = new Map(stored.map((name) => [withoutExtension(name), name]));
    this.keepsExtensions = stored.some((name) => withoutExtension(name) !== name);
  }

  async getMigrations(): Promise<MigrationFile[]> {
    const remnants = this.remnants.map((name) => ({ name, file: '' }));
    return [...this.history.files, ...remnants].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** knex records names with extensions. A history that an app has made with knex itself goes on in that way. */
  getMigrationName({ name, file }: MigrationFile): string {
    const own = this.keepsExtensions ? `${name}${/\.\w+$/.exec(file)?.[0] ?? ''}` : name;
    return this.stored.get(name) ?? own;
  }

  async getMigration(migration: MigrationFile): Promise<Knex.Migration> {
    const nothing = async () => undefined;
    return migration.file === '' ? { up: nothing, down: nothing } : importMigration(migration, this.history.importFile);
  }
}

/** @returns Catamount's history first, since the app's migrations may refer to its tables. */
async function historiesOf(knex: Knex, { ours, apps, importFile }: Migrations): Promise<History[]> {
  const own = { ...ourTable(), isOurs: true, files: migrationFiles(ours), importFile: undefined };
  if (apps === null) return [own];
  return [own, { ...(await appTable(knex, apps)), isOurs: false, files: migrationFiles(apps), importFile }];
}

/** @returns knex's settings for a history. */
function settings(history: History, migrationSource: HistorySource) {
  const { table, schema, isOurs } = history;
  return {
    tableName: table,
    ...(schema !== undefined && { schemaName: schema }),
    migrationSource,
    beforeEach: async (trx: Knex) => {
      // Catamount's migrations name no schema. They must not find the tables of another app, in another schema.
      if (isOurs && schema !== undefined) await trx.raw('set local search_path to ??', [schema]);
    },
    afterEach: async (trx: Knex) => {
      if (isOurs && schema !== undefined) await trx.raw('set local search_path to default');
    },
  };
}

/**
 * Runs all pending migrations: Catamount's, then the app's.
 * @returns the names of the migrations that ran, in order.
 * @throws knex's MigrationLocked while another process migrates.
 */
export async function migrateUp(knex: Knex, migrations: Migrations, onAdopted?: OnAdopted): Promise<string[]> {
  await makeTables(knex, migrations, onAdopted);
  const histories = await historiesOf(knex, migrations);
  const ran: string[] = [];
  // One run has the same batch number in both tables, so that it can be rolled back as a whole.
  let batch: number | undefined;
  for (const history of histories) {
    const [, names] = (await knex.migrate.latest({
      ...settings(history, new HistorySource(history, await rowsOf(knex, history).pluck('name'))),
      // An older release to which a platform rolls back migrates, too: what only the newer one has stays applied.
      disableMigrationsListValidation: true,
      beforeAll: async (trx) => {
        batch ??= Math.max(...(await lastBatches(trx, histories))) + 1;
      },
      afterAll: async (trx) => {
        const last = rowsOf(trx, history).max('batch');
        await rowsOf(trx, history).where('batch', last).update({ batch });
      },
    })) as [number, string[]];
    ran.push(...names.map(withoutExtension));
  }
  return ran;
}

/** Rolls back the last run of migrations, or all of them, the app's first. @returns the names, in order. */
export async function migrateDown(
  knex: Knex,
  migrations: Migrations,
  { all = false, onAdopted }: { readonly all?: boolean; readonly onAdopted?: OnAdopted } = {},
): Promise<string[]> {
  await makeTables(knex, migrations, onAdopted);
  const histories = await historiesOf(knex, migrations);
  const batches = await lastBatches(knex, histories);
  const last = Math.max(...batches);
  const ours = new Set(migrationFiles(migrations.ours).map(({ name }) => name));
  const remains = await hasOlderTable(knex);
  const undone: string[] = [];
  for (const [n, history] of [...histories.entries()].reverse()) {
    if (!all && batches[n] !== last) continue;
    const stored: string[] = await rowsOf(knex, history).pluck('name');
    const isApps = !history.isOurs;
    const remnants = isApps && remains ? stored.filter((name) => ours.has(name)) : [];
    const given = settings(history, new HistorySource(history, stored, remnants));
    const [, names] = (await knex.migrate.rollback(
      {
        ...given,
        // An older release reads the app's table, so the name has to be removed there as well.
        afterEach: async (trx, [migration]) => {
          await given.afterEach(trx);
          if (isApps || !remains) return;
          await trx(APP_TABLE)
            .where({ name: (migration as MigrationFile).name })
            .delete();
        },
      },
      all,
    )) as [number, string[]];
    undone.push(...names.filter((name) => !isApps || !ours.has(name)).map(withoutExtension));
  }
  return undone;
}

/**
 * Removes Catamount's names from the app's table, where older releases look for them. Afterwards knex's own command,
 * which knows only the app's files, works there; but to those releases all of Catamount's migrations are pending.
 * @returns the names that were removed.
 */
export async function separateHistories(knex: Knex, migrations: Migrations, onAdopted?: OnAdopted): Promise<string[]> {
  await makeTables(knex, migrations, onAdopted);
  if (!(await hasOlderTable(knex))) return [];
  return knex.transaction(async (trx) => {
    await lockAppTable(trx);
    const names = migrationFiles(migrations.ours).map(({ name }) => name);
    const rows: { name: string }[] = await trx(APP_TABLE).whereIn('name', names).delete().returning('name');
    return rows.map(({ name }) => name).sort();
  });
}

/**
 * Creates knex's tables under a lock of ours, since knex creates its lock table without one. If two processes migrated
 * a new database at once, both might fail and leave a second row in that table, which blocks all migrations for good.
 */
async function makeTables(knex: Knex, migrations: Migrations, onAdopted: OnAdopted = () => undefined): Promise<void> {
  const adopted = await knex.transaction(async (trx) => {
    await trx.raw("select pg_advisory_xact_lock(hashtext('catamount migrations'))");
    await makeSchema(trx);
    for (const history of await historiesOf(trx, migrations))
      await trx.migrate.currentVersion(settings(history, new HistorySource(history, [])));
    const [known] = await rowsOf(trx, ourTable()).limit(1);
    return known === undefined ? adopt(trx, migrations) : [];
  });
  if (adopted.length > 0) onAdopted(adopted);
}

/**
 * Copies Catamount's rows from the app's table, where older releases record them. They stay there as well: if a
 * platform rolls back to such a release, its migrations would otherwise create all tables again.
 */
async function adopt(trx: Knex.Transaction, { ours }: Migrations): Promise<string[]> {
  if (!(await hasOlderTable(trx))) return [];
  await lockAppTable(trx);
  const names = migrationFiles(ours).map(({ name }) => name);
  const rows: { name: string }[] = await trx(APP_TABLE)
    .whereIn('name', names)
    .orderBy('id')
    .select('name', 'batch', 'migration_time');
  if (rows.length > 0) await rowsOf(trx, ourTable()).insert(rows);
  return rows.map(({ name }) => name);
}

/** Releases that use the app's table do not know DATABASE_SCHEMA, so their rows belong to the default schema. */
async function hasOlderTable(knex: Knex): Promise<boolean> {
  return TABLES.schema === undefined && (await tableExists(knex, { table: APP_TABLE, schema: undefined }));
}

/** Looks first, since a role may use a schema that was created for it without the right to create one. */
async function makeSchema(trx: Knex.Transaction): Promise<void> {
  if (TABLES.schema === undefined) return;
  const { rows } = await trx.raw('select 1 from pg_namespace where nspname = ?', [TABLES.schema]);
  if (rows.length === 0) await trx.raw('create schema ??', [TABLES.schema]);
}

/** Waits while an older release migrates in one transaction. @throws Error if it uses several, as knex's lock shows. */
async function lockAppTable(trx: Knex.Transaction): Promise<void> {
  const table = `${APP_TABLE}_lock`;
  if (!(await tableExists(trx, { table, schema: undefined }))) return;
  const rows: { is_locked: number }[] = await trx(table).select('is_locked').forUpdate();
  if (rows.some(({ is_locked }) => is_locked !== 0)) throw new Error(`${table}: migration table is already locked`);
}

function lastBatches(knex: Knex, histories: readonly History[]): Promise<number[]> {
  return Promise.all(
    histories.map(async (history) => {
      const [row] = (await rowsOf(knex, history).max('batch as last')) as { last: number | null }[];
      return row?.last ?? 0;
    }),
  );
}
