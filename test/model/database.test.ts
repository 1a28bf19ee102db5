import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { freePort } from '../../lib/embedded/free-port';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { until } from '../support/until';

describe('Database', () => {
  let created: TestDatabase;
  before(async () => {
    created = await createDatabase();
  });
  after(() => created.drop());

  it('answers a ping, names itself, and stops twice', async () => {
    const database = new Database(created.url, { production: false, events: new Events() });
    await database.start();
    await database.ping();
    const { rows } = await database.knex.raw<{ rows: { name: string }[] }>(
      'select application_name as name from pg_stat_activity where pid = pg_backend_pid()',
    );
    assert.equal(rows[0]?.name, 'catamount');
    await database.stop(Deadline.after(30_000));
    await database.stop(Deadline.after(30_000));
    await assert.rejects(database.ping());
  });

  it('rejects a ping in time when nothing listens', async () => {
    const url = `postgres://127.0.0.1:${await freePort()}/shop`;
    const events = new Events();
    const told = events.next('database.error');
    const database = new Database(url, { production: false, events });
    await assert.rejects(database.ping(300));
    assert.match((await told).error.message, /ECONNREFUSED/);
    await database.stop(Deadline.after(30_000));
  });

  it('never takes more connections than its pool may', async () => {
    const database = new Database(created.url, { production: false, events: new Events() });
    await Promise.all(Array.from({ length: 30 }, () => database.knex.raw('select pg_sleep(0.001)')));
    const [row] = await created.query(
      'select count(*)::int as n from pg_stat_activity where datname = current_database()',
    );
    assert.ok(row?.n <= 3 + 1, `${row?.n} connections`);
    await database.stop(Deadline.after(30_000));
  });

  it('recovers when its connections are cut', async () => {
    const database = new Database(created.url, { production: false, events: new Events() });
    await database.ping();
    await created.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await until('it answers again', async () => {
      await database.ping();
      return true;
    });
    await database.stop(Deadline.after(30_000));
  });
});
