import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import { type Migrations, migrationFiles, migrationStates, pendingMigrations } from '../../lib/model/migrations';
import { migrateDown, migrateUp } from '../../lib/model/migrator';
import { migrationsIn } from '../support/migrations';
import { useDatabase, usePostgres } from '../support/stores';
import { inTest } from '../support/suite';
import { tempFolder } from '../support/temp-folder';

const { ours: OURS } = migrationsIn(['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations']);
const OUR_NAMES = migrationFiles(OURS).map(({ name }) => name);

/** A migration of an app that creates a table. */
const source = (table: string) => `
  exports.up = (knex) => knex.raw('create table ${table} ()');
  exports.down = (knex) => knex.raw('drop table ${table}');`;

describe('the histories of Catamount and of an app', () => {
  const created = usePostgres({}, inTest);
  const database = useDatabase(created, { poolMax: 2 }, inTest);
  let knex: Knex;
  let appFolder: string;
  let both: Migrations;

  const write = (folder: string, name: string, table: string) =>
    fs.writeFileSync(path.join(folder, `${name}.js`), source(table));
  const namesIn = async (table: string) =>
    (await created.query<{ name: string }>(`select name from ${table} order by id`)).map(({ name }) => name);
  const tables = async () =>
    (
      await created.query<{ name: string }>(
        "select table_name as name from information_schema.tables where table_schema = 'public' order by 1",
      )
    ).map(({ name }) => name);

  beforeEach(() => {
    appFolder = tempFolder('migrations');
    write(appFolder, '20250101_posts', 'posts');
    both = { ours: OURS, apps: [appFolder] };
    knex = database.knex;
  });

  it('roll back together what one run has migrated, whichever tables record it', async () => {
    const all = [...OUR_NAMES, '20250101_posts'];
    assert.deepEqual(await migrateUp(knex, both), all);
    const extra = tempFolder('ours');
    write(extra, '20270101_ours', 'ours');
    const later = { ...both, ours: [...OURS, extra] };
    write(appFolder, '20250102_notes', 'notes');
    assert.deepEqual(await migrateUp(knex, later), ['20270101_ours', '20250102_notes']);
    write(appFolder, '20250103_more', 'more');
    assert.deepEqual(await migrateUp(knex, later), ['20250103_more']);
    assert.deepEqual(await migrateDown(knex, later), ['20250103_more']);
    assert.deepEqual(await migrateDown(knex, later), ['20250102_notes', '20270101_ours']);
    assert.deepEqual(await migrateDown(knex, later), [...all].reverse());
    assert.deepEqual([await namesIn('knex_migrations'), await namesIn('catamount_migrations')], [[], []]);
    const left = ['catamount_migrations', 'catamount_migrations_lock', 'knex_migrations', 'knex_migrations_lock'];
    assert.deepEqual(await tables(), left);
  });

  it("leave the app's migrations to a tool of its own", async () => {
    const none = { ours: OURS, apps: null };
    assert.deepEqual(await migrateUp(knex, none), OUR_NAMES);
    assert.deepEqual(await pendingMigrations(knex, none), []);
    assert.ok(!(await tables()).includes('posts'));
    await knex.migrate.latest({ directory: appFolder });
    assert.deepEqual(await namesIn('knex_migrations'), ['20250101_posts.js']);
    assert.deepEqual(await migrateDown(knex, none), [...OUR_NAMES].reverse());
    assert.ok((await tables()).includes('posts'));
    assert.deepEqual(await migrateUp(knex, none), OUR_NAMES);
  });

  it('continue what knex has recorded with extensions, and let knex continue ours', async () => {
    const config = { directory: appFolder };
    await knex.migrate.latest(config);
    assert.deepEqual(await pendingMigrations(knex, both), OUR_NAMES);
    write(appFolder, '20250102_notes', 'notes');
    assert.deepEqual(await migrateUp(knex, both), [...OUR_NAMES, '20250102_notes']);
    write(appFolder, '20250103_more', 'more');
    const [, ran] = (await knex.migrate.latest(config)) as [number, string[]];
    assert.deepEqual(ran, ['20250103_more.js']);
    assert.deepEqual(await pendingMigrations(knex, both), []);
    assert.deepEqual(await migrateDown(knex, both), ['20250103_more']);
    assert.ok((await migrationStates(knex, both)).some(({ name, done }) => name === '20250103_more' && !done));
  });
});
