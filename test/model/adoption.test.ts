import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import { Events } from '../../lib/core/events';
import { Database } from '../../lib/model/database';
import { type Migrations, migrationFiles, migrationStates, pendingMigrations } from '../../lib/model/migrations';
import { migrateDown, migrateUp, separateHistories } from '../../lib/model/migrator';
import { Deadline, deferred } from '../../lib/support/async';
import { migrationsIn } from '../support/migrations';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';

const { ours: OURS } = migrationsIn(['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations']);
const OUR_NAMES = migrationFiles(OURS).map(({ name }) => name);

/** A migration of an app that creates a table. */
const source = (table: string) => `
  exports.up = (knex) => knex.raw('create table ${table} ()');
  exports.down = (knex) => knex.raw('drop table ${table}');`;

/** The migration source of releases without `catamount_migrations`: one history of all folders, names without extensions. */
class OldSource implements Knex.MigrationSource<string> {
  private readonly files: ReadonlyMap<string, string>;

  constructor(folders: readonly string[]) {
    this.files = new Map(migrationFiles(folders).map(({ name, file }) => [name, file]));
  }
  async getMigrations(): Promise<string[]> {
    return [...this.files.keys()].sort();
  }
  getMigrationName(name: string): string {
    return name;
  }
  async getMigration(name: string): Promise<Knex.Migration> {
    return require(this.files.get(name) ?? '');
  }
}

describe('a database whose migrations are all recorded in knex_migrations', () => {
  let created: TestDatabase;
  let opened: Database[];
  let knex: Knex;
  let appFolder: string;
  let both: Migrations;

  const open = () => {
    const database = new Database(created.url, { production: false, events: new Events(), poolMax: 2 });
    opened.push(database);
    return database.knex;
  };
  const olderRelease = () => ({
    migrationSource: new OldSource([...OURS, appFolder]),
    disableMigrationsListValidation: true,
  });
  const namesIn = async (table: string) =>
    (await created.query<{ name: string }>(`select name from ${table} order by id`)).map(({ name }) => name);
  const tables = async () =>
    (
      await created.query<{ name: string }>(
        "select table_name as name from information_schema.tables where table_schema = 'public' order by 1",
      )
    ).map(({ name }) => name);

  beforeEach(async () => {
    opened = [];
    created = await createDatabase();
    appFolder = tempFolder('migrations');
    fs.writeFileSync(path.join(appFolder, '20250101_posts.js'), source('posts'));
    both = { ours: OURS, apps: [appFolder] };
    knex = open();
    await knex.migrate.latest(olderRelease());
    await created.query("insert into job_queue (id, queue, class, payload) values (gen_random_uuid(), 'q', 'J', '{}')");
  });
  afterEach(async () => {
    for (const database of opened) await database.stop(Deadline.after(30_000));
    await created.drop();
  });

  it('is converted once and reported, with no migration run again and none pending before or after', async () => {
    assert.deepEqual(await pendingMigrations(knex, both), []);
    const told: (readonly string[])[] = [];
    assert.deepEqual(await migrateUp(knex, both, (names) => told.push(names)), []);
    assert.deepEqual(await migrateUp(knex, both, (names) => told.push(names)), []);
    assert.deepEqual(told, [OUR_NAMES]);
    assert.deepEqual(await namesIn('catamount_migrations'), OUR_NAMES);
    assert.deepEqual(await pendingMigrations(knex, both), []);
    assert.equal((await created.query('select 1 from job_queue')).length, 1);
  });

  it('lets an older release migrate and start again, until the histories are separated', async () => {
    await migrateUp(knex, both);
    fs.writeFileSync(path.join(appFolder, '20250102_notes.js'), source('notes'));
    const [, ran] = (await open().migrate.latest(olderRelease())) as [number, string[]];
    assert.deepEqual(ran, ['20250102_notes']);
    assert.deepEqual(await pendingMigrations(knex, both), []);

    assert.deepEqual(await separateHistories(knex, both), OUR_NAMES);
    assert.deepEqual(await namesIn('knex_migrations'), ['20250101_posts', '20250102_notes']);
    assert.deepEqual(await separateHistories(knex, both), []);
    assert.deepEqual(await pendingMigrations(knex, both), []);
    await assert.rejects(open().migrate.latest(olderRelease()), /already exists/);
    assert.deepEqual(await migrateUp(knex, both), []);
    assert.equal((await created.query('select 1 from job_queue')).length, 1);
  });

  it('is converted by the first of several processes once an older release has finished migrating', async () => {
    const started = deferred<void>();
    const held = deferred<void>();
    await knex.migrate.rollback(olderRelease(), true);
    const older = open().migrate.latest({
      ...olderRelease(),
      afterAll: async () => {
        started.resolve();
        await held.promise;
      },
    });
    await started.promise;
    const told: string[] = [];
    const all = Promise.allSettled(
      [open(), open(), open()].map((each) => migrateUp(each, both, (n) => told.push(...n))),
    );
    const waiting =
      "select 1 from pg_stat_activity where wait_event = 'transactionid' and datname = current_database()";
    await until('a migrator waits for the older release', async () => (await created.query(waiting)).length > 0);
    held.resolve();
    await older;
    const outcomes = await all;
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        assert.match(`${outcome.reason}`, /^(MigrationLocked|Error): .*already locked$/i);
    assert.ok(outcomes.some(({ status }) => status === 'fulfilled'));
    assert.deepEqual(told, OUR_NAMES);
    assert.deepEqual(await namesIn('catamount_migrations'), OUR_NAMES);
    assert.deepEqual(await pendingMigrations(knex, both), []);
  });

  it('rolls back together what one run has migrated, whichever tables record it', async () => {
    const extra = tempFolder('ours');
    fs.writeFileSync(path.join(extra, '20270101_ours.js'), source('ours'));
    const later = { ...both, ours: [...OURS, extra] };
    fs.writeFileSync(path.join(appFolder, '20250102_notes.js'), source('notes'));
    assert.deepEqual(await migrateUp(knex, later), ['20270101_ours', '20250102_notes']);
    fs.writeFileSync(path.join(appFolder, '20250103_more.js'), source('more'));
    assert.deepEqual(await migrateUp(knex, later), ['20250103_more']);
    assert.deepEqual(await migrateDown(knex, later), ['20250103_more']);
    assert.deepEqual(await migrateDown(knex, later), ['20250102_notes', '20270101_ours']);
    // The converted migrations still count as one run, and an older release sees them undone as well.
    assert.deepEqual(await migrateDown(knex, later), ['20250101_posts', ...[...OUR_NAMES].reverse()]);
    assert.deepEqual([await namesIn('knex_migrations'), await namesIn('catamount_migrations')], [[], []]);
    const left = ['catamount_migrations', 'catamount_migrations_lock', 'knex_migrations', 'knex_migrations_lock'];
    assert.deepEqual(await tables(), left);
    const [, ran] = (await open().migrate.latest(olderRelease())) as [number, string[]];
    assert.equal(ran.length, OUR_NAMES.length + 3);
  });

  it("leaves the app's migrations to a tool of its own, and migrates only ours", async () => {
    const none = { ours: OURS, apps: null };
    assert.deepEqual(await pendingMigrations(knex, none), []);
    fs.writeFileSync(path.join(appFolder, '20250102_notes.js'), source('notes'));
    assert.deepEqual(await migrateUp(knex, none), []);
    assert.deepEqual(await pendingMigrations(knex, none), []);
    assert.ok(!(await tables()).includes('notes'));
    await separateHistories(knex, none);
    await knex.migrate.latest({ migrationSource: new OldSource([appFolder]) });
    assert.deepEqual(await namesIn('knex_migrations'), ['20250101_posts', '20250102_notes']);
    assert.deepEqual(await migrateDown(knex, none), [...OUR_NAMES].reverse());
    assert.ok((await tables()).includes('posts'));
    assert.deepEqual(await migrateUp(knex, none), OUR_NAMES);
  });

  it('continues a history that knex has recorded with extensions, and lets knex continue ours', async () => {
    const own = await createDatabase();
    const database = new Database(own.url, { production: false, events: new Events(), poolMax: 2 });
    try {
      const config = { directory: appFolder };
      await database.knex.migrate.latest(config);
      assert.deepEqual(await pendingMigrations(database.knex, both), OUR_NAMES);
      fs.writeFileSync(path.join(appFolder, '20250102_notes.js'), source('notes'));
      assert.deepEqual(await migrateUp(database.knex, both), [...OUR_NAMES, '20250102_notes']);
      fs.writeFileSync(path.join(appFolder, '20250103_more.js'), source('more'));
      const [, ran] = (await database.knex.migrate.latest(config)) as [number, string[]];
      assert.deepEqual(ran, ['20250103_more.js']);
      assert.deepEqual(await pendingMigrations(database.knex, both), []);
      assert.deepEqual(await migrateDown(database.knex, both), ['20250103_more']);
      assert.ok(
        (await migrationStates(database.knex, both)).some(({ name, done }) => name === '20250103_more' && !done),
      );
    } finally {
      await database.stop(Deadline.after(30_000));
      await own.drop();
    }
  });
});
