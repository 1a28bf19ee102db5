import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { findRunningServers } from '../../lib/embedded/embedded-servers';
import { redisAnswers } from '../../lib/embedded/server-process';
import { processes } from '../support/processes';
import { sharedPostgres } from '../support/shared-servers';
import { removeFolder } from '../support/temp-folder';
import { assertNothingRuns, startServers, stateFolder } from './servers-under-test';

/** Another user of this machine can reach 127.0.0.1 as well, but does not have the password. */
describe('the embedded servers, on a machine with other users', () => {
  it('reject connections to Postgres with no password or a wrong one', async () => {
    const url = new URL(await sharedPostgres());
    assert.match(url.password, /^[\w-]{32,}$/);
    for (const password of ['', 'postgres', url.password.slice(1)]) {
      const client = new pg.Client({
        host: '127.0.0.1',
        port: Number(url.port),
        user: 'postgres',
        database: 'postgres',
        password,
      });
      await assert.rejects(client.connect(), /password/, password);
      // If the client did not end, the server would wait for its password, and DROP DATABASE for that, for a minute.
      await client.end();
    }
    const client = new pg.Client(url.href);
    await client.connect();
    const { rows } = await client.query(
      "select rolpassword like 'SCRAM-SHA-256$%' as scram from pg_authid where rolname = 'postgres'",
    );
    await client.end();
    assert.deepEqual(rows, [{ scram: true }]);
    assert.ok(
      !processes().some(({ command }) => command.includes(url.password)),
      'no process shows it in its command line',
    );
  });

  it('reject connections to Redis without the password, which only the owner can read', async () => {
    const stateDir = stateFolder();
    const run = await startServers(stateDir, 'redis');
    try {
      const { port, password } = new URL(run.urls.redisUrl);
      assert.match(password, /^[\w-]{32,}$/);
      assert.equal(await redisAnswers(Number(port)), false);
      assert.equal(await redisAnswers(Number(port), 'wrong'), false);
      assert.equal(await redisAnswers(Number(port), password), true);
      const elsewhere = net.connect(Number(port), '127.0.0.2');
      await assert.rejects(once(elsewhere, 'connect'), 'it listens on 127.0.0.1 only');
      assert.deepEqual((await findRunningServers(stateDir)).redisUrl, run.urls.redisUrl);
      const folder = path.join(stateDir, 'redis');
      assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
      const telling = fs.readdirSync(folder).filter((name) => {
        const file = path.join(folder, name);
        return fs.statSync(file).isFile() && fs.readFileSync(file, 'utf8').includes(password);
      });
      assert.ok(telling.length > 0);
      for (const name of telling) assert.equal(fs.statSync(path.join(folder, name)).mode & 0o777, 0o600, name);
      assert.ok(!telling.includes('redis.log'));
      assert.ok(
        !processes().some(({ command }) => command.includes(password)),
        'no process shows it in its command line',
      );
      await run.stop();
      const log = path.join(folder, 'redis.log');
      fs.writeFileSync(log, 'x'.repeat(1_000_001));
      const again = await startServers(stateDir, 'redis');
      assert.doesNotMatch(fs.readFileSync(log, 'utf8'), /xx/, 'a log does not grow forever');
      assert.equal(new URL(again.urls.redisUrl).password, password, 'the password stays the same');
      await again.stop();
    } finally {
      await run.stop();
      assertNothingRuns(stateDir);
      removeFolder(path.dirname(stateDir));
    }
  });
});
