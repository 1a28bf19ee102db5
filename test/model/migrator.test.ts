import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Events } from '../../lib/core/events';
import { Database } from '../../lib/model/database';
import { type Migrations, migrationFiles, pendingMigrations } from '../../lib/model/migrations';
import { migrateDown, migrateUp } from '../../lib/model/migrator';
import { Deadline } from '../../lib/support/deadline';
import { migrationsIn } from '../support/migrations';
import { useDatabase, usePostgres } from '../support/stores';
import { inTest } from '../support/suite';
import { tempFolder } from '../support/temp-folder';

const BOTH = migrationsIn(['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations', 'migrations']);
const { ours: OURS, apps: APPS } = BOTH;
const OUR_NAMES = migrationFiles(OURS).map(({ name }) => name);
const APP_NAMES = migrationFiles(APPS ?? []).map(({ name }) => name);
const ALL = [...OUR_NAMES, ...APP_NAMES];

const apps = (...folders: readonly string[]): Migrations => ({ ours: [], apps: folders });

describe('the migrator', () => {
  const created = usePostgres({}, inTest);
  const database = useDatabase(created, {}, inTest);

  const schema = () =>
    created.query(
      `select table_name, column_name, data_type, is_nullable from information_schema.columns
       where table_schema = 'public' and table_name not like '%migrations%' order by 1, 2`,
    );

  it('migrates everything up, down, and up again to the same schema', async () => {
    assert.ok(ALL.includes('20261125000003_create_users'));
    assert.deepEqual(await pendingMigrations(database.knex, BOTH), ALL);

    assert.deepEqual(await migrateUp(database.knex, BOTH), ALL);
    const first = await schema();
    assert.deepEqual(await pendingMigrations(database.knex, BOTH), []);
    assert.deepEqual(await migrateUp(database.knex, BOTH), []);

    assert.deepEqual(await migrateDown(database.knex, BOTH), [...ALL].reverse());
    assert.deepEqual(await schema(), []);
    assert.deepEqual(await pendingMigrations(database.knex, BOTH), ALL);

    await migrateUp(database.knex, BOTH);
    assert.deepEqual(await schema(), first);
  });

  it('treats a missing folder as an empty one, since an app may have no migrations', async () => {
    assert.deepEqual(await migrateUp(database.knex, apps(path.join(tempFolder('none'), 'migrations'))), []);
  });

  it('keeps one history over several folders, ordered by name, whatever the extension', async () => {
    const [one, two] = [tempFolder('migrations'), tempFolder('migrations')];
    const migration = (table: string) => `
      exports.up = (knex) => knex.raw('create table ${table} ()');
      exports.down = (knex) => knex.raw('drop table ${table}');`;
    fs.writeFileSync(path.join(one, '2_second.js'), migration('second'));
    fs.writeFileSync(path.join(two, '1_first.js'), migration('first'));
    fs.writeFileSync(path.join(two, '1_first.d.ts'), '');
    fs.writeFileSync(path.join(two, '1_first.js.map'), '');
    assert.deepEqual(await migrateUp(database.knex, apps(one, two)), ['1_first', '2_second']);

    // The same migrations with another extension, as in a build, and a new one.
    fs.renameSync(path.join(one, '2_second.js'), path.join(one, '2_second.ts'));
    fs.writeFileSync(path.join(two, '3_third.js'), migration('third'));
    assert.deepEqual(await migrateUp(database.knex, apps(one, two)), ['3_third']);
    assert.deepEqual(await migrateDown(database.knex, apps(one, two)), ['3_third']);
    assert.deepEqual(await migrateDown(database.knex, apps(one, two), { all: true }), ['2_second', '1_first']);
  });

  it('migrates on from a history with migrations that only a newer release has, but refuses to roll those back', async () => {
    const [older, newer] = [tempFolder('migrations'), tempFolder('migrations')];
    const migration = 'exports.up = async () => undefined; exports.down = async () => undefined;';
    fs.writeFileSync(path.join(older, '20240101_first.js'), migration);
    fs.writeFileSync(path.join(newer, '20240102_second.js'), migration);
    await migrateUp(database.knex, apps(older, newer));
    fs.writeFileSync(path.join(older, '20240103_third.js'), migration);
    assert.deepEqual(await migrateUp(database.knex, apps(older)), ['20240103_third']);
    await assert.rejects(migrateDown(database.knex, apps(older), { all: true }), /20240102_second/);
  });

  it('keeps nothing of a migration that fails', async () => {
    const folder = tempFolder('migrations');
    fs.writeFileSync(
      path.join(folder, '1_bad.js'),
      `exports.up = async (knex) => { await knex.raw('create table half ()'); await knex.raw('nonsense'); };
       exports.down = async () => {};`,
    );
    await assert.rejects(migrateUp(database.knex, apps(folder)), /nonsense/);
    assert.deepEqual(await schema(), []);
    assert.deepEqual(await pendingMigrations(database.knex, apps(folder)), ['1_bad']);
  });

  it('migrates once when several processes try at the same time, and leaves no lock behind', async () => {
    const others = Array.from(
      { length: 5 },
      () => new Database(created.url, { production: false, events: new Events(), poolMax: 1 }),
    );
    const outcomes = await Promise.allSettled(others.map(({ knex }) => migrateUp(knex, BOTH)));
    await Promise.all(others.map((other) => other.stop(Deadline.after(30_000))));
    for (const outcome of outcomes) if (outcome.status === 'rejected') assert.match(`${outcome.reason}`, /lock/i);
    assert.ok(outcomes.some(({ status }) => status === 'fulfilled'));
    assert.deepEqual(await pendingMigrations(database.knex, BOTH), []);
    for (const table of ['catamount_migrations_lock', 'knex_migrations_lock'])
      assert.deepEqual(await created.query(`select count(*)::int as count from ${table}`), [{ count: 1 }]);
    assert.deepEqual(await migrateUp(database.knex, BOTH), []);
  });
});
