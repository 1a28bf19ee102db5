import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { appFolder, writeFiles } from '../support/app-folder';
import { asNode } from '../support/other-node';
import { createDatabase } from '../support/postgres';
import { startTestRedis } from '../support/redis';
import { usePostgres, useRedisServer } from '../support/stores';
import { inSuite } from '../support/suite';
import { removeFolder } from '../support/temp-folder';
import { catamount } from './cli-process';

const ROOT = path.resolve(__dirname, '../..');

const FILES: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "shop" }',
  'server.js': "require('catamount').boot(require('./app'));",
  'app.js': `module.exports = require('catamount').defineApp({
    name: 'shop', root: __dirname, routes: () => import('./routes.js') });`,
  'routes.js': 'module.exports = () => {};',
  'models/entry.js': `const { Model } = require('catamount');
    module.exports = class Entry extends Model { static tableName = 'entries'; };`,
  'jobs/greet.js': `const { Job } = require('catamount');
    module.exports = class GreetJob extends Job { perform() {} };`,
  'migrations/20260101000000_create_entries.js': `exports.up = (knex) => knex.schema.createTable('entries', (table) => {
      table.increments(); table.text('email'); table.timestamps(false, true); });
    exports.down = (knex) => knex.schema.dropTable('entries');`,
  'seeds/b-second.js':
    "module.exports = async () => { await require('../models/entry').query().insert({ email: 'b' }); };",
  'seeds/a-first.js': `module.exports = () => void require('../models/entry').knex()
      .raw("insert into entries (email) select 'a' from pg_sleep(0.3)").then(() => undefined);`,
  'add.js': `const { transaction } = require('catamount');
    const Entry = require('./models/entry');
    const GreetJob = require('./jobs/greet');
    module.exports = async (email, flag) => {
      await transaction(async () => { await Entry.query().insert({ email }); await GreetJob.performLater(); });
      console.log('added', email, flag, process.argv.slice(2).join(' '));
    };`,
  'add.ts': `import { transaction } from 'catamount';
    import Entry from './models/entry.js';
    export default async (email: string): Promise<void> => {
      await transaction(async () => { await Entry.query().insert({ email: email as string }); });
    };`,
  'none.js': 'exports.main = 1;',
  'misspelt.mjs': "import '@no-such/package'; export default () => {};",
  'data.mjs': "import data from './package.json'; export default () => data;",
  'notes.md': '# Notes',
  'forgets.js': `const { transaction } = require('catamount');
    const Entry = require('./models/entry');
    const GreetJob = require('./jobs/greet');
    module.exports = async (how) => {
      if (how === 'straight') GreetJob.performLater();
      if (how === 'each')
        [1, 2, 3, 4, 5].forEach(async (n) => {
          // Longer than a stop takes at most.
          if (n === 5) await Entry.knex().raw('select pg_sleep(6)');
          await Entry.query().insert({ email: 'each-' + n });
          await transaction(async () => { await Entry.query().findOne({ email: 'each-' + n }); await GreetJob.performLater(); });
        });
      if (how === 'refused') Entry.query().insert({ no_such_column: 1 }).then(() => undefined);
      if (how === 'late') setTimeout(() => GreetJob.performLater(), 200);
      if (how === 'open') setInterval(() => undefined, 1000);
    };`,
  'throws.js': "module.exports = async () => { throw new Error('it broke'); };",
  'client.js': `const { connect, Mailer } = require('catamount');
    const GreetJob = require('./jobs/greet');
    class NoteMailer extends Mailer {
      static note = this.action('note');
      note() { return this.mail({ to: 'ada@example.com', subject: 'Hello' }); }
    }
    (async () => {
      await GreetJob.performLater().catch((error) => console.log(error.message));
      const connection = await connect(require('./app'));
      console.log((await GreetJob.performLater()).enqueued, (await NoteMailer.note().deliverLater()).enqueued);
      console.log(JSON.stringify(Object.keys(require.cache)));
      GreetJob.set({ wait: '1h' }).performLater().then(({ enqueued }) => console.log(enqueued));
      await connection.disconnect();
      await GreetJob.performLater().catch((error) => console.log(error.name));
    })();`,
};

describe('outside the tree', () => {
  const cwd = appFolder(FILES);
  const database = usePostgres();
  const redis = useRedisServer();

  const env = inSuite(undefined, () => ({ DATABASE_URL: database.url, REDIS_URL: redis.url, LOG_LEVEL: 'warn' }));
  after(() => removeFolder(cwd));

  const run = (...args: string[]) => catamount(cwd, args, env);
  const hasTable = async (name: string) => {
    const [row] = await database.query<{ there: boolean }>('select to_regclass($1) is not null as there', [name]);
    return row?.there;
  };
  const emails = async () =>
    (await database.query<{ email: string }>('select email from entries order by id')).map(({ email }) => email);

  /** The findings of `catamount doctor`, as severity and id. */
  const symptoms = async (changed: Readonly<Record<string, string>> = {}) => {
    const { stdout } = await catamount(cwd, ['doctor', '--json'], { ...env, ...changed });
    const { findings } = JSON.parse(stdout) as { findings: Record<string, string>[] };
    return findings.map(({ id, severity }) => `${severity} ${id}`);
  };

  it('db: status, migrate, seed, rollback, reset', async () => {
    const before = await run('db', 'status');
    assert.equal(before.code, 1);
    assert.deepEqual([...new Set(await symptoms())], ['error pending_migration']);
    assert.match(before.stdout, /^pending 20260101000000_create_entries$/m);
    assert.equal(await hasTable('knex_migrations'), false);
    assert.equal(await hasTable('catamount_migrations'), false);
    // Unlike `migrate`, it also works on the embedded database.
    assert.match((await run('check')).stdout, /20260101000000_create_entries has not run: run catamount db migrate$/m);
    const migrated = await run('db', 'migrate');
    assert.deepEqual([migrated.code, migrated.stderr], [0, '']);
    assert.match(migrated.stdout, /^migrated 20260101000000_create_entries$/m);
    const after = await run('db', 'status');
    assert.equal(after.code, 0);
    assert.doesNotMatch(after.stdout, /pending/);
    assert.match((await run('db', 'seed')).stdout, /^seeded a-first\.js\nseeded b-second\.js\n$/);
    assert.deepEqual(await emails(), ['a', 'b']);
    await database.query("insert into entries (email) values ('gone')");
    const reset = await run('db', 'reset');
    assert.match(reset.stdout, /^rolled back .*create_entries$/m);
    assert.deepEqual(await emails(), ['a', 'b']);
    assert.match((await run('db', 'rollback')).stdout, /rolled back/);
    assert.equal(await hasTable('entries'), false);
    assert.equal((await run('db', 'migrate')).code, 0);
  });

  it('a built app: db names a migration that is missing, db seed refuses without its seeds, run runs the built script', async () => {
    const built = appFolder({});
    const write = (name: string, text: string) => writeFiles(built, { [name]: text });
    const define =
      "catamount.defineApp({ name: 'built', root: __dirname, routes: async () => ({ default: () => {} }) })";
    write('dist/server.js', `const catamount = require('catamount'); catamount.boot(${define});`);
    const source = 'export const up = async () => undefined; export const down = up;';
    for (const name of ['1_old.ts', '2_new.ts']) write(`migrations/${name}`, source);
    write('dist/migrations/1_old.js', 'exports.up = exports.down = async () => undefined;');
    const own = await createDatabase({ migrated: [] });
    try {
      const servers = { ...env, DATABASE_URL: own.url };
      const says = 'migrations/2_new.ts is not built yet, so it is left out: build the app (npm run build).\n';
      const migrated = await catamount(built, ['db', 'migrate'], servers);
      assert.deepEqual([migrated.code, migrated.stderr], [0, says]);
      assert.match(migrated.stdout, /^migrated 1_old$/m);
      const status = await catamount(built, ['db', 'status'], servers);
      assert.deepEqual([status.code, status.stderr], [1, says], status.stdout);
      write('dist/migrations/2_new.js', 'exports.up = exports.down = async () => undefined;');
      const pending = await catamount(built, ['db', 'status'], servers);
      assert.deepEqual([pending.code, pending.stderr], [1, '']);
      assert.match(pending.stdout, /^pending 2_new$/m);
      write('seeds/users.ts', 'export default () => console.log(1);');
      const unbuilt = 'seeds/users.ts is not built yet: build the app (npm run build).\n';
      for (const command of ['seed', 'reset']) {
        const seeded = await catamount(built, ['db', command], servers);
        assert.deepEqual([seeded.code, seeded.stdout, seeded.stderr], [78, '', unbuilt]);
      }
      write('server.ts', '');
      write('scripts/hello.ts', "import '../lib/missing'; export default () => undefined;");
      const early = await catamount(built, ['run', 'scripts/hello.ts'], servers);
      assert.equal(early.code, 78);
      assert.match(
        early.stderr,
        /\/scripts\/hello\.ts is not built yet: have "include" of tsconfig\.json name its folder/,
      );
      write('dist/scripts/hello.js', "module.exports = (name) => console.log('Hello,', name);");
      const ran = await catamount(built, ['run', 'scripts/hello.ts', 'Ada'], servers);
      assert.deepEqual([ran.code, ran.stdout], [0, 'Hello, Ada\n'], ran.stderr);
    } finally {
      await own.drop();
      removeFolder(built);
    }
  });

  it('db reset refuses production without --force', async () => {
    await database.query("insert into entries (email) values ('kept')");
    const production = { ...env, NODE_ENV: 'production', MAIL_DELIVERY: 'log', APP_URL: 'https://shop.example' };
    const { code, stderr } = await catamount(cwd, ['db', 'reset'], production);
    assert.equal(code, 64);
    assert.match(stderr, /^db reset deletes all data of a production database: say --force if you mean it\.\n$/);
    assert.ok((await emails()).includes('kept'));
  });

  it('run: a script can use models, transactions and jobs, and receives its arguments; mistakes get one sentence', async () => {
    const jobs = async () => (await database.query('select id from job_queue')).length;
    const had = await jobs();
    const { code, stdout, stderr } = await run('run', 'add.js', 'ada@example.com', '--help', '-v');
    assert.deepEqual([code, stdout], [0, 'added ada@example.com --help ada@example.com --help -v\n'], stderr);
    assert.ok((await emails()).includes('ada@example.com'));
    assert.equal(await jobs(), had + 1);
    const tsx = { NODE_OPTIONS: `--import=${pathToFileURL(require.resolve('tsx')).href}` };
    // Newer releases of Node strip types by themselves.
    for (const [n, node] of [tsx, ...(Reflect.get(process.features, 'typescript') ? [{}] : [])].entries()) {
      const typed = await catamount(cwd, ['run', 'add.ts', `typed-${n}`], { ...env, ...node });
      assert.equal(typed.code, 0, typed.stderr);
      assert.ok((await emails()).includes(`typed-${n}`));
    }
    const none = await run('run', 'none.js');
    assert.deepEqual(
      [none.code, none.stderr],
      [64, 'none.js exports no function: write export default async (...args) => { … }\n'],
    );
    for (const [file, says] of [
      ['package.json', 'is not a script: name a file of JavaScript or TypeScript'],
      ['notes.md', 'is not a script: name a file of JavaScript or TypeScript'],
      ['seeds', 'is a folder: name a script in it'],
    ] as const) {
      const { code: refused, stderr: told } = await run('run', file);
      assert.deepEqual([refused, told], [64, `${path.join(cwd, file)} ${says}.\n`]);
    }
    const data = await run('run', 'data.mjs');
    assert.equal(data.code, 78);
    assert.match(data.stderr, /^\S+\/data\.mjs: Module ".*\/package\.json" needs an import attribute .*: fix it\n$/);
    const misspelt = await run('run', 'misspelt.mjs');
    const says = `${path.join(cwd, 'misspelt.mjs')}: the package @no-such/package is imported by`;
    assert.deepEqual([misspelt.code, misspelt.stderr.slice(0, says.length)], [78, says], misspelt.stderr);
    const throws = await run('run', 'throws.js');
    assert.equal(throws.code, 1);
    assert.match(throws.stderr, /Error: it broke/);
    const away = await catamount(cwd, ['run', 'add.js'], { ...env, REDIS_URL: 'redis://127.0.0.1:1' });
    assert.equal(away.code, 0);
    assert.match(away.stderr, /Redis at 127\.0\.0\.1:1 cannot be reached, so this goes on without it/);
  });

  it('run: waits for what a script does not await, and says what came too late', async () => {
    const waiting = async () => (await database.query('select id from job_queue')).length;
    const had = await waiting();
    const straight = await run('run', 'forgets.js', 'straight');
    assert.deepEqual([straight.code, straight.stderr], [0, '']);
    assert.equal(await waiting(), had + 1);
    const each = await run('run', 'forgets.js', 'each');
    assert.deepEqual([each.code, each.stderr], [0, '']);
    assert.equal(await waiting(), had + 6);
    const refused = await run('run', 'forgets.js', 'refused');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /no_such_column/);
    const late = await run('run', 'forgets.js', 'late');
    assert.equal(late.code, 1);
    assert.match(late.stderr, /^forgets\.js had ended, and its connections were closed, before this: await all that/m);
    assert.match(late.stderr, /NotConnectedError: GreetJob\.performLater/);
    const open = await run('run', 'forgets.js', 'open');
    const left = 'forgets.js has ended with timers or connections left open: what they had yet to do is not done.\n';
    assert.deepEqual([open.code, open.stderr], [1, left]);
  });

  it('wrong usage exits with 64 and one sentence, even when no server is reachable', async () => {
    const cases = [
      ['check --jsn', /^check has no option --jsn\. Did you mean --json\? See catamount help check\.\n$/],
      ['check now', /^Unexpected argument "now" for check\. See catamount help check\.\n$/],
      ['doctor --json=all', /^--json of doctor takes no value, but was given "all"\. See catamount help doctor\.\n$/],
      ['console now', /^Unexpected argument "now" for console\. See catamount help console\.\n$/],
      ['db', /^db needs a command\. There are migrate, rollback, .* make\. See catamount help db\.\n$/],
      ['db migrat', /^"db migrat" is not a command\. Did you mean db migrate\? See catamount help db\.\n$/],
      ['db migrate now', /^Unexpected argument "now" for db migrate\. See catamount help db migrate\.\n$/],
      ['db migrate --force', /^--force belongs to db reset; db migrate has none\. See catamount help db\.\n$/],
      ['db --dry-run make x --nonsense', /^generate has no option --nonsense; it has --queue, --dry-run\. See/],
      ['run', /^run needs a file: catamount run FILE \[ARGUMENT…\]\n$/],
      ['run --loud add.js', /^run has no option --loud; the script comes first: catamount run FILE \[ARGUMENT…\]\n$/],
      ['run absent.js', /^There is no file \S+\/absent\.js\.\n$/],
      ['rollback 1_users', /^Unexpected argument "1_users" for rollback\. See catamount help rollback\.\n$/],
      ['start --frob', /^start has no option --frob; it has --only, --allow-pending\. See catamount help start\.\n$/],
    ] as const;
    for (const [line, message] of cases) {
      const { code, stdout, stderr } = await catamount(cwd, line.split(' '));
      assert.deepEqual([code, stdout], [64, ''], line);
      assert.match(stderr, message, line);
    }
  });

  it('console: classes by name, and await at the top level', async () => {
    const cli = path.join(ROOT, 'dist/lib/cli/main.js');
    const child = spawn(process.execPath, [cli, 'console'], {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const exited = once(child, 'close');
    child.stdin.end(`await Promise.reject(new Error('a slip'))
      throw new Error('another')
      await Entry.query().insert({ email: 'typed' });
      (await GreetJob.set({ wait: '1h' }).performLater()).enqueued
      (await knex('entries').where({ email: 'typed' })).length + 41
      (await knex.raw("select pg_sleep(0.3), 'slept' as told")).rows[0].told
      void (async () => { await Entry.query().first(); await Entry.query().insert({ email: 'forgotten' }); })()\n`);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    assert.deepEqual(await exited, [0, null], stderr);
    assert.match(stdout, /^true$/m);
    assert.match(stdout, /^42$/m);
    assert.match(stdout, /^'slept'$/m);
    assert.ok((await emails()).includes('forgotten'));
    assert.match(stdout, /^Uncaught Error: a slip$[\s\S]*^Uncaught Error: another$/m);
  });

  it('doctor: finds what is wrong around the app, and says what to do about it', async () => {
    const well = await run('doctor');
    assert.deepEqual([well.code, well.stdout], [0, 'All is as it should be.\n'], well.stderr);
    fs.writeFileSync(path.join(cwd, 'Procfile'), 'web: npm start\n');
    const production = { NODE_ENV: 'production', MAIL_DELIVERY: 'log', APP_URL: 'https://shop.example' };
    const forgetful = await startTestRedis('--maxmemory-policy', 'volatile-lru');
    const changed = { ...production, REDIS_URL: forgetful.url, DATABASE_POOL: '500' };
    const { code, stdout } = await catamount(cwd, ['doctor'], { ...env, ...changed, MEMORY_LIMIT_MB: '256' });
    const roomy = { ...env, ...changed, ...asNode('27.1.0'), MEMORY_LIMIT_MB: '1024' };
    const json = await catamount(cwd, ['doctor', '--json'], roomy);
    await forgetful.remove();
    fs.rmSync(path.join(cwd, 'Procfile'));
    assert.equal(code, 1);
    assert.match(stdout, /Procfile: a package manager stands between .*: start node itself, as in node server\.js\.$/m);
    assert.match(
      stdout,
      /Procfile: nothing migrates before a release: add the line release: node server\.js migrate$/m,
    );
    assert.match(stdout, /^Postgres allows \d+ connections, and a deploy may open \d+: lower DATABASE_POOL/m);
    assert.match(
      stdout,
      /^Redis deletes counts of rate limits and the charts when it is full \(maxmemory-policy volatile-lru\): set it to noeviction\.$/m,
    );
    assert.match(stdout, /^The tree is planned to use 440 MB \(.*\), and may use 256 MB: lower WEB_CONCURRENCY, or/m);
    assert.equal(json.code, 1);
    const { findings } = JSON.parse(json.stdout) as { findings: Record<string, string>[] };
    assert.deepEqual(
      findings.map(({ id, severity }) => `${severity} ${id}`),
      [
        'warning untested_node',
        'error procfile_package_manager',
        'warning procfile_no_release',
        'error too_many_connections',
        'warning redis_eviction',
      ],
    );
    assert.deepEqual(findings[4], {
      id: 'redis_eviction',
      severity: 'warning',
      finding: 'Redis deletes counts of rate limits and the charts when it is full (maxmemory-policy volatile-lru)',
      what_to_do: 'set it to noeviction.',
    });
    assert.equal((await run('doctor', '--jsn')).code, 64);
    const unchecked = {
      NODE_ENV: 'production',
      MAIL_DELIVERY: 'log',
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none?sslmode=require',
      REDIS_URL: 'rediss://127.0.0.1:1?sslmode=require',
    };
    assert.deepEqual(await symptoms(unchecked), [
      'warning doubtful_setting',
      'warning postgres_unchecked_tls',
      'warning redis_unchecked_tls',
      'error unreachable',
    ]);
    assert.deepEqual(await symptoms({ PORT: 'abc' }), ['error wrong_settings']);
  });

  it('connect(): another process enqueues until it disconnects', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['client.js'], {
      cwd,
      env: { PATH: process.env.PATH, ...env },
    });
    const [refused = '', enqueued, modules = '', unawaited, later] = stdout.split('\n');
    assert.match(refused, /in a process that is not connected: .* catamount run .* await connect\(app\)/);
    assert.deepEqual([enqueued, unawaited, later], ['true true', 'true', 'NotConnectedError']);
    const heavy =
      /node_modules\/(?:koa|email-templates|nodemailer|ejs|juice|bee-queue)\/|dist\/lib\/(?:ops|web|health|mailer\/(?:render|transport))\//;
    const loaded = JSON.parse(modules) as string[];
    assert.deepEqual(
      loaded.filter((file) => heavy.test(file)),
      [],
    );
    assert.ok(loaded.filter((file) => file.includes('dist/lib/')).length > 20, 'the modules that it needs are listed');
  });
});
