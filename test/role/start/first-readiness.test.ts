import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { readSettings } from '../../../lib/core/settings';
import { Database } from '../../../lib/model/database';
import { migrateUp } from '../../../lib/model/migrator';
import { findings } from '../../../lib/role/checks/all-checks';
import { FirstReadiness } from '../../../lib/role/start/first-readiness';
import { Deadline } from '../../../lib/support/deadline';
import { migrationsIn } from '../../support/migrations';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { until } from '../../support/until';

const MIGRATIONS = migrationsIn([...['job', 'mailer', 'ops'].map((part) => `lib/${part}/migrations`), 'migrations']);

describe('the first readiness of a process', () => {
  let created: TestDatabase;
  let database: Database;
  let told: number;
  beforeEach(async () => {
    told = 0;
    created = await createDatabase();
    database = new Database(created.url, { production: false, events: new Events() });
  });
  afterEach(async () => {
    await database.stop(Deadline.after(5000));
    await created.drop();
  });

  const postgres = (allowPending = false) => {
    const config = { ...readSettings({ env: {}, cwd: '/nowhere' }), allowPending };
    return { config, migrations: MIGRATIONS, database };
  };
  const readiness = ({
    allowPending = false,
    ...options
  }: {
    allowPending?: boolean;
    jobsBooted?: () => boolean;
  } = {}) =>
    new FirstReadiness({
      postgres: postgres(allowPending),
      jobsBooted: () => true,
      onServed: () => {
        told++;
      },
      ...options,
    });

  it('waits for pending migrations, and creates no table for them', async () => {
    const first = readiness();
    assert.match(
      (await first.reason()) ?? '',
      /^\d+ migrations have not run: \d+_\w+, .* and \d+ more\. Run catamount db migrate, or start with --allow-pending\.$/,
    );
    assert.equal(await database.knex.schema.hasTable('catamount_migrations'), false);
    assert.equal(await database.knex.schema.hasTable('knex_migrations'), false);
    assert.equal(await readiness({ allowPending: true }).reason(), undefined);
    await migrateUp(database.knex, MIGRATIONS);
    await until('it is ready', async () => (await first.reason()) === undefined);
  });

  it('waits for a database that accepts writes, but is kept when the database refuses them later', async () => {
    const name = new URL(created.url).pathname.slice(1);
    await migrateUp(database.knex, MIGRATIONS);
    const served = readiness();
    assert.equal(await served.reason(), undefined);
    const refusals = async () =>
      (await findings('postgres', 'serving', postgres())).filter(({ id }) => id === 'writes');
    assert.deepEqual(await refusals(), []);
    await created.query(`alter database "${name}" set default_transaction_read_only = on`);
    await database.stop(Deadline.after(5000));
    database = new Database(created.url, { production: false, events: new Events() });
    const first = readiness();
    assert.match((await first.reason()) ?? '', /^Postgres refuses writes: /);
    assert.equal(await served.reason(), undefined);
    assert.equal((await refusals()).length, 1);
    await created.query(`begin read write; alter database "${name}" reset default_transaction_read_only; commit`);
    await until('it is ready', async () => (await first.reason()) === undefined);
  });

  it('waits until it can be read whether migrations have run, and whether Postgres takes writes', async () => {
    await migrateUp(database.knex, MIGRATIONS);
    await created.query('alter table catamount_migrations rename column name to away');
    const first = readiness();
    assert.equal((await first.look())?.cause, 'unread');
    await created.query('alter table catamount_migrations rename column away to name');
    await until('it is ready', async () => (await first.reason()) === undefined);
    await database.stop(Deadline.after(5000));
    database = new Database('postgres://127.0.0.1:1/none', { production: false, events: new Events() });
    assert.deepEqual(await readiness({ allowPending: true }).look(), { cause: 'unread', error: 'ECONNREFUSED' });
  });

  it('waits for a job processor to boot once', async () => {
    await migrateUp(database.knex, MIGRATIONS);
    let booted = false;
    const first = readiness({ jobsBooted: () => booted });
    assert.match((await first.reason()) ?? '', /^The job processor has not booted since the start/);
    booted = true;
    assert.equal(await first.reason(), undefined);
    booted = false;
    assert.equal(await first.reason(), undefined);
    assert.equal(told, 1, 'the tree is notified once');
  });

  it('waits for nothing more once another process of the tree has been ready', async () => {
    const first = readiness({ jobsBooted: () => false });
    assert.match((await first.reason()) ?? '', /migrations have not run/);
    first.treeServed();
    assert.equal(await first.reason(), undefined);
    assert.equal(told, 0);
  });
});
