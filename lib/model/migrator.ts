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

/** Receives the names of Catamount's migrations that were found in the app's table, once they stand in their own. */
type OnAdopted = (names: readonly string[]) => void;

/** Migrations that are kept in one table. */
interface History extends MigrationTable {
  readonly isOurs: boolean;
  readonly files: readonly MigrationFile[];
  readonly importFile: ImportFile | undefined;
}

/** What knex asks of a history whose table has these names. */
class HistorySource implements Knex.MigrationSource<MigrationFile> {
  private readonly stored: ReadonlyMap<string, string>;
  private readonly keepsExtensions: boolean;

  /** @param remnants names in the table that are nobody's migrations: they have nothing to do, and nothing to take back. */
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

  /** An app that comes with a history of knex's own has names with extensions in it, and knex goes on with that. */
  getMigrationName({ name, file }: MigrationFile): string {
    const own = this.keepsExtensions ? `${name}${/\.\w+$/.exec(file)?.[0] ?? ''}` : name;
    return this.stored.get(name) ?? own;
  }

  async getMigration(migration: MigrationFile): Promise<Knex.Migration> {
    const nothing = async () => undefined;
    return migration.file === '' ? { up: nothing, down: nothing } : importMigration(migration, this.history.importFile);
  }
}

/** Catamount's first, since the app's may refer to its tables. */
async function historiesOf(knex: Knex, { ours, apps, importFile }: Migrations): Promise<History[]> {
  const own = { ...ourTable(), isOurs: true, files: migrationFiles(ours), importFile: undefined };
  if (apps === null) return [own];
  return [own, { ...(await appTable(knex, apps)), isOurs: false, files: migrationFiles(apps), importFile }];
}

/** What knex is told of a history. */
function settings(history: History, migrationSource: HistorySource) {
  const { table, schema, isOurs } = history;
  return {
    tableName: table,
    ...(schema !== undefined && { schemaName: schema }),
    migrationSource,
    beforeEach: async (trx: Knex) => {
      // Catamount's migrations name their tables without a schema. Of another app's, in another one, they find none.
      if (isOurs && schema !== undefined) await trx.raw('set local search_path to ??', [schema]);
    },
    afterEach: async (trx: Knex) => {
      if (isOurs && schema !== undefined) await trx.raw('set local search_path to default');
    },
  };
}

/**
 * Runs all pending migrations: Catamount's, then the app's.
 * @returns the names of those that ran, in order.
 * @throws knex's MigrationLocked while another process migrates.
 */
export async function migrateUp(knex: Knex, migrations: Migrations, onAdopted?: OnAdopted): Promise<string[]> {
  await makeTables(knex, migrations, onAdopted);
  const histories = await historiesOf(knex, migrations);
  const ran: string[] = [];
  // One run has one number in both tables, so that it can be taken back as one.
  let batch: number | undefined;
  for (const history of histories) {
    const [, names] = (await knex.migrate.latest({
      ...settings(history, new HistorySource(history, await rowsOf(knex, history).pluck('name'))),
      // A platform that goes back to an older release runs its migrations: those that only the newer one has stay applied.
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

/** Takes the last run of migrations back, or all of them; the app's first. @returns the names, in order. */
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
        // What an older release finds in the app's table is true again.
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
 * Takes Catamount's names out of the app's table, where releases before the table of their own look for them. knex's own
 * command, which knows the app's files only, works there afterwards; those releases take all of Catamount's for pending.
 * @returns the names that stood there.
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
 * Creates knex's tables under a lock of ours, since knex creates its own lock table without one: when two processes
 * migrate a new database at once, both may fail and leave a second row in it, which blocks all migrations for good.
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
 * Copies Catamount's rows from the app's table, where releases before the table of their own kept them. They stay there,
 * too: a platform that goes back to such a release runs its migrations, which would else create all tables again.
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

/** Releases before Catamount's table knew no DATABASE_SCHEMA, so what they kept belongs to the default one. */
async function hasOlderTable(knex: Knex): Promise<boolean> {
  return TABLES.schema === undefined && (await tableExists(knex, { table: APP_TABLE, schema: undefined }));
}

/** Asks first, since a role may use a schema that was made for it and be allowed to make none. */
async function makeSchema(trx: Knex.Transaction): Promise<void> {
  if (TABLES.schema === undefined) return;
  const { rows } = await trx.raw('select 1 from pg_namespace where nspname = ?', [TABLES.schema]);
  if (rows.length === 0) await trx.raw('create schema ??', [TABLES.schema]);
}

/** Waits for another process that migrates by the app's table. @throws Error when it does so in several transactions. */
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
