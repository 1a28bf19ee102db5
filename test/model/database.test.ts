import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { Events } from '../../lib/core/events';
import { causeOf } from '../../lib/core/failure-cause';
import { connectionSettings, Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase } from '../support/postgres';
import { serverPort } from '../support/server-port';
import { inSuite } from '../support/suite';
import { TcpProxy } from '../support/tcp-proxy';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';

const ROOT = path.resolve(__dirname, '../..');

describe('Database', () => {
  const created = inSuite('drop', () => createDatabase());

  it('answers a ping, sets its application_name, and may be stopped twice', async () => {
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

  it('logs nothing about queries that wait for a connection when it stops', async () => {
    const told: string[] = [];
    const events = new Events();
    events.on('database.error', ({ error }) => told.push(error.message));
    const database = new Database(created.url, { production: false, events });
    const waiting = database.knex.raw('select 1').catch((error: Error) => error.message);
    await database.stop(Deadline.after(30_000));
    assert.equal(await waiting, 'aborted');
    assert.deepEqual(told, []);
  });

  it('rejects a ping and reports why when nothing listens on the port', async () => {
    const url = `postgres://127.0.0.1:${await serverPort()}/shop`;
    const events = new Events();
    const told = events.next('database.error');
    const database = new Database(url, { production: false, events });
    await assert.rejects(database.ping(300));
    assert.match((await told).error.message, /ECONNREFUSED/);
    await database.stop(Deadline.after(30_000));
  });

  it('reports once in an outage that connections broke, and once what is refused', async () => {
    const proxy = await TcpProxy.start(created.url);
    const told: string[] = [];
    const events = new Events();
    events.on('database.error', ({ error }) => told.push(error.message));
    const database = new Database(proxy.url, { production: false, events });
    for (const outages of [1, 2]) {
      await database.ping(30_000);
      await proxy.down();
      for (let tries = 0; tries < 5; tries++) await assert.rejects(database.ping(300));
      const refused = told.filter((message) => message.endsWith(`connect ECONNREFUSED 127.0.0.1:${proxy.port}`));
      assert.deepEqual([refused.length, told.length], [outages, 2 * outages], told.join('\n'));
      await proxy.up();
    }
    await database.stop(Deadline.after(30_000));
    await proxy.down();
  });

  it('says why a statement failed before it says which one, without its values', async () => {
    const database = new Database(created.url, { production: false, events: new Events() });
    for (const knex of [database.knex, database.withTimeout(30_000)]) {
      const failed = knex.raw('select 1 as timeout\n from "nowhere" where email = ?', ['ada@example.com']);
      const expected = 'relation "nowhere" does not exist (in: select 1 as timeout from "nowhere" where email = $1)';
      await assert.rejects(failed, (error: Error) => {
        assert.deepEqual([error.message, causeOf(error)], [expected, 'other']);
        return true;
      });
      const inside = knex.transaction(async (trx) => trx.transaction((inner) => inner.raw('select * from nowhere')));
      await assert.rejects(inside, { message: 'relation "nowhere" does not exist (in: select * from nowhere)' });
    }
    await database.stop(Deadline.after(30_000));
  });

  it('opens no more connections than its pool allows', async () => {
    const database = new Database(created.url, { production: false, events: new Events() });
    await Promise.all(Array.from({ length: 30 }, () => database.knex.raw('select pg_sleep(0.001)')));
    const [row] = await created.query(
      'select count(*)::int as n from pg_stat_activity where datname = current_database()',
    );
    assert.ok(row?.n <= 3 + 1, `${row?.n} connections`);
    await database.stop(Deadline.after(30_000));
  });

  it('has Postgres cancel a statement that times out, instead of leaving it waiting for a lock', async () => {
    await created.query('create table ledgers (total int)');
    const database = new Database(created.url, { production: false, events: new Events() });
    const holder = await database.knex.transaction();
    try {
      await holder.raw('lock table ledgers in access exclusive mode');
      const limited = database.withTimeout(100);
      await assert.rejects(limited.raw('select total from ledgers'), /timeout/i);
      await until('no statement waits for the lock', async () => {
        const [row] = await created.query(
          `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return row?.n === 0;
      });
      assert.equal((await limited.raw<{ rows: unknown[] }>('select 1')).rows.length, 1);
    } finally {
      await holder.rollback();
      await database.stop(Deadline.after(30_000));
    }
  });

  it('abandons sessions on which Postgres refuses writes, and logs nothing about them', async () => {
    const name = new URL(created.url).pathname.slice(1);
    const told: string[] = [];
    const events = new Events();
    events.on('database.error', ({ error }) => told.push(error.message));
    const database = new Database(created.url, { production: false, events });
    await created.query('create table notes (words text)');
    await created.query(`alter database "${name}" set default_transaction_read_only = on`);
    const write = () => database.knex.raw(`insert into notes values ('one')`);
    await Promise.all([1, 2, 3].map(() => assert.rejects(write(), { code: '25006' })));
    await assert.rejects(
      database.knex.transaction((trx) => trx.raw(`insert into notes values ('two')`)),
      { code: '25006' },
    );
    await created.query(`begin read write; alter database "${name}" reset default_transaction_read_only; commit`);
    // A session that has refused a write would refuse the next one, too.
    await Promise.all([1, 2, 3, 4].map(write));
    assert.deepEqual(told, []);
    await database.stop(Deadline.after(30_000));
  });

  it('recovers when its connections are cut', async () => {
    const database = new Database(created.url, { production: false, events: new Events() });
    await database.ping();
    await created.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await until('the database answers again', async () => {
      await database.ping();
      return true;
    });
    await database.stop(Deadline.after(30_000));
  });
});

describe('connectionSettings', () => {
  const off = false;
  const unchecked = { rejectUnauthorized: false };
  const checked = { rejectUnauthorized: true };
  const table = [
    // Host and sslmode of the URL, whether in production, the TLS settings
    ['db.example.com', '', true, checked],
    ['db.example.com', '', false, off],
    ['localhost', '', true, off],
    ['127.0.0.1', '', true, off],
    ['[::1]', '', true, off],
    ['db.example.com', 'disable', true, off],
    ['db.example.com', 'allow', true, off],
    ['db.example.com', 'prefer', true, off],
    ['db.example.com', 'require', false, unchecked],
    ['db.example.com', 'no-verify', true, unchecked],
    ['db.example.com', 'verify-ca', true, checked],
    ['db.example.com', 'verify-full', true, checked],
    ['localhost', 'verify-full', false, checked],
    ['localhost', 'require', true, unchecked],
  ] as const;

  for (const [host, mode, production, ssl] of table) {
    it(`chooses TLS for ${host}, sslmode=${mode || '(none)'}, ${production ? 'in production' : 'elsewhere'}`, () => {
      const query = mode === '' ? '' : `?sslmode=${mode}`;
      const settings = connectionSettings(`postgres://u:p%40ss@${host}:5433/shop${query}`, production);
      assert.deepEqual(settings.ssl, ssl);
      assert.equal(settings.connectionString, `postgres://u:p%40ss@${host}:5433/shop`);
    });
  }

  it('keeps the other parameters of the URL', () => {
    const { connectionString } = connectionSettings('postgres://h/shop?sslmode=require&options=-c%20x%3D1', true);
    assert.equal(connectionString, 'postgres://h/shop?options=-c+x%3D1');
  });
});

describe('the Postgres driver', () => {
  it("loads without Node's undici, and leaves the globals unchanged", () => {
    const folder = tempFolder('driver');
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    const flags = ['--noCheck', '--module', 'commonjs', '--target', 'es2022', '--outDir', folder];
    execFileSync(process.execPath, [tsc, '--ignoreConfig', ...flags, path.join(ROOT, 'lib/internals/pg.ts')]);
    const script = `
      const before = 'navigator' in globalThis;
      const { pg } = require(${JSON.stringify(path.join(folder, 'pg.js'))});
      console.log(JSON.stringify({
        client: typeof pg.Client,
        same: pg === require('pg'),
        undici: process.moduleLoadList.some((name) => name.includes('undici')),
        left: ('navigator' in globalThis) !== before,
      }));`;
    const env = { PATH: process.env.PATH ?? '', NODE_PATH: path.join(ROOT, 'node_modules') };
    const told = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
    assert.deepEqual(JSON.parse(told), { client: 'function', same: true, undici: false, left: false });
  });
});
