import type { Knex } from 'knex';
import { TABLES } from '../core/config';
import { type ImportFile, withoutExtension } from '../core/load-classes';
import {
  appTable,
  importMigration,
  type MigrationFile,
  type Migrations,
  type MigrationTable,
  migrationFiles,
  ourTable,
  rowsOf,
} from './migrations';

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

  constructor(
    private readonly history: History,
    stored: readonly string[],
  ) {
    this.stored = new Map(stored.map((name) => [withoutExtension(name), name]));
    this.keepsExtensions = stored.some((name) => withoutExtension(name) !== name);
  }

  async getMigrations(): Promise<MigrationFile[]> {
    return [...this.history.files];
  }

  /** knex records names with extensions. A history that an app has made with knex itself goes on in that way. */
  getMigrationName({ name, file }: MigrationFile): string {
    const own = this.keepsExtensions ? `${name}${/\.\w+$/.exec(file)?.[0] ?? ''}` : name;
    return this.stored.get(name) ?? own;
  }

  getMigration(migration: MigrationFile): Promise<Knex.Migration> {
    return importMigration(migration, this.history.importFile);
  }
}

/** @returns Catamount's history first, since the app's migrations may refer to its tables. */
async function loadHistories(knex: Knex, { ours, apps, importFile }: Migrations): Promise<History[]> {
  const own = { ...ourTable(), isOurs: true, files: migrationFiles(ours), importFile: undefined };
  if (apps === null) return [own];
  return [own, { ...(await appTable(knex, apps)), isOurs: false, files: migrationFiles(apps), importFile }];
}

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
 * @throws knex's MigrationLocked while another process runs migrations without a transaction.
 */
export async function migrateUp(knex: Knex, migrations: Migrations): Promise<string[]> {
  await makeTables(knex, migrations);
  const histories = await loadHistories(knex, migrations);
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
  { all = false }: { readonly all?: boolean } = {},
): Promise<string[]> {
  await makeTables(knex, migrations);
  const histories = await loadHistories(knex, migrations);
  const batches = await lastBatches(knex, histories);
  const last = Math.max(...batches);
  const undone: string[] = [];
  for (const [n, history] of [...histories.entries()].reverse()) {
    if (!all && batches[n] !== last) continue;
    const source = new HistorySource(history, await rowsOf(knex, history).pluck('name'));
    const [, names] = (await knex.migrate.rollback(settings(history, source), all)) as [number, string[]];
    undone.push(...names.map(withoutExtension));
  }
  return undone;
}

/**
 * Creates knex's tables under a lock of ours, since knex creates its lock table without one. If two processes migrated a new
 * database at once, both might fail and leave a second row in that table. Such a row blocks all migrations for good.
 */
async function makeTables(knex: Knex, migrations: Migrations): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw("select pg_advisory_xact_lock(hashtext('catamount migrations'))");
    await makeSchema(trx);
    for (const history of await loadHistories(trx, migrations))
      await trx.migrate.currentVersion(settings(history, new HistorySource(history, [])));
  });
}

/** Looks first, since a role may use a schema that was created for it without the right to create one. */
async function makeSchema(trx: Knex.Transaction): Promise<void> {
  if (TABLES.schema === undefined) return;
  const { rows } = await trx.raw('select 1 from pg_namespace where nspname = ?', [TABLES.schema]);
  if (rows.length === 0) await trx.raw('create schema ??', [TABLES.schema]);
}

function lastBatches(knex: Knex, histories: readonly History[]): Promise<number[]> {
  return Promise.all(
    histories.map(async (history) => {
      const [row] = (await rowsOf(knex, history).max('batch as last')) as { last: number | null }[];
      return row?.last ?? 0;
    }),
  );
}
