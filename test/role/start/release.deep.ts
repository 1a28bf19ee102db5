import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { order, statsOf } from '../../cluster/primary/operator';
import { useDeployment } from '../../process/deployment';
import { asNode } from '../../support/other-node';
import { createDatabase } from '../../support/postgres';
import { until } from '../../support/until';

/** Catamount's migrations run first, then the app's. */
const MIGRATIONS = [['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations'], ['migrations']]
  .flatMap((folders) => folders.flatMap((folder) => fs.readdirSync(path.resolve(__dirname, '../../..', folder))).sort())
  .map((file) => file.replace(/^\d+_|\.ts$/g, ''));

describe('a release in production', () => {
  const deployment = useDeployment({ database: createDatabase });

  const started = (args: readonly string[] = [], more: Readonly<Record<string, string>> = {}) =>
    deployment.start({ args, env: { WEB_CONCURRENCY: '1', ...more } });
  /** Runs a command to its end. @returns its exit code, its output and the migrations that it has applied or rolled back. */
  const run = async (command: 'migrate' | 'rollback', more: Readonly<Record<string, string | undefined>> = {}) => {
    const tree = deployment.spawn({ args: [command], env: more });
    const { code } = await tree.exited;
    const text = tree.lines.map((line) => line.text).join('\n');
    return {
      code,
      text,
      done: [...text.matchAll(/(?:applied|rolled back) migration \d+_(\w+)/g)].map(([, name]) => name),
    };
  };
  const tables = async () => {
    const rows = await deployment.database.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public' and tablename not like '%migrations%' order by 1`,
    );
    return rows.map(({ name }) => name);
  };

  it('start applies no migration, starts no embedded server and names the pending migrations', async () => {
    const tree = await started();
    const { text } = await tree.waitForLine(/migrations have not run/);
    for (const name of MIGRATIONS) assert.match(text, new RegExp(name));
    assert.match(text, /Run: node dist\/server\.js migrate/);
    assert.deepEqual(await tables(), []);
    await until('the status says so before anybody asks /ready', async () =>
      (await statsOf(tree)).worker_status.some(({ last_status }) => last_status.unready?.cause === 'migrations'),
    );
    const ready = await tree.request('GET', '/ready');
    assert.equal(ready.status, 503);
    assert.match(ready.body, /migrations have not run: .* or start with --allow-pending/);
    const { postgres, redis: embeddedRedis, keeper } = tree.processes();
    assert.deepEqual([postgres, embeddedRedis, keeper], [undefined, undefined, undefined]);
    assert.equal((await tree.stop()).code, 0);
    const state = path.join(tree.cwd, '.catamount');
    assert.deepEqual(fs.existsSync(state) ? fs.readdirSync(state) : [], []);
  });

  it('start --allow-pending names them as well, and is ready; it warns once about a Node.js that is too new', async () => {
    const tree = await started(['--allow-pending'], asNode('27.1.0'));
    await until('it is ready', async () => (await tree.request('GET', '/ready')).status === 200);
    await tree.waitForLine(/migrations have not run/);
    assert.equal(tree.linesMatching(/This is Node\.js 27\.1\.0, and Catamount was tested up to 26/).length, 1);
    assert.equal((await tree.stop()).code, 0);
  });

  it('migrate applies them, a second run does nothing, and rollback reverts the batch', async () => {
    const first = await run('migrate');
    assert.deepEqual([first.code, first.done], [0, MIGRATIONS], first.text);
    assert.deepEqual(await run('migrate'), { code: 0, text: '', done: [] });
    const back = await run('rollback');
    assert.deepEqual([back.code, back.done], [0, [...MIGRATIONS].reverse()], back.text);
    assert.deepEqual(await tables(), []);
  });

  it('migrate can run twice at the same time, as when two releases overlap', async () => {
    const both = await Promise.all([run('migrate'), run('migrate')]);
    assert.deepEqual([both[0].code, both[1].code], [0, 0], both.map(({ text }) => text).join('\n'));
    assert.deepEqual(both.flatMap(({ done }) => done).sort(), [...MIGRATIONS].sort());
    assert.ok((await tables()).includes('users'));
  });

  it('then start serves without a warning', async () => {
    const tree = await started();
    assert.equal((await tree.request('POST', '/users', { json: { email: 'ada@example.com' } })).status, 201);
    await deployment.sink.waitFor(1);
    await until('it is ready', async () => (await tree.request('GET', '/ready')).status === 200);
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(
      tree.linesMatching(({ json }) => json.level === 'warn'),
      [],
    );
  });

  it('then a worker that is started later is ready at once: a store that fails by then only degrades it', async () => {
    const tree = await started();
    const ready = () => tree.request('GET', '/ready');
    await until('it is ready', async () => (await ready()).status === 200);
    const name = new URL(deployment.database.url).pathname.slice(1);
    await deployment.database.query(`alter database "${name}" set default_transaction_read_only = on`);
    await deployment.database.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
      [name],
    );
    try {
      for (const how of ['killed', 'recycled']) {
        const from = tree.lines.length;
        if (how === 'recycled') await order(tree, 'recycle', 0);
        else for (const pid of tree.processes().webPids) process.kill(pid, 'SIGKILL');
        await tree.waitForLine(/worker 0 \(pid \d+\) is ready/, { from });
        const answer = await until('Postgres refuses writes', async () => {
          const { status, body } = await ready();
          return (status !== 200 || /"writes"/.test(body)) && { status, body };
        });
        assert.equal(answer.status, 200, `${how}: ${answer.body}`);
      }
    } finally {
      await deployment.database.query(
        `begin read write; alter database "${name}" reset default_transaction_read_only; commit`,
      );
    }
    assert.equal((await tree.stop()).code, 0);
  });

  it('migrate fails with the name of the missing setting when no database is set', async () => {
    const { code, text } = await run('migrate', { NODE_ENV: 'development', DATABASE_URL: undefined });
    assert.equal(code, 78);
    assert.match(text, /DATABASE_URL is not set/);
  });
});
