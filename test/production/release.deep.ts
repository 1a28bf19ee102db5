import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { tempFolder } from '../support/temp-folder';
import { spawnTree, startTree, type Tree } from '../support/tree';

const MIGRATIONS = ['lib/job/migrations', 'lib/mailer/migrations', 'migrations']
  .flatMap((folder) => fs.readdirSync(path.resolve(__dirname, '../..', folder)))
  .sort()
  .map((file) => file.replace(/^\d+_|\.ts$/g, ''));

interface Report {
  readonly title: string;
  readonly loaded: readonly string[];
}

describe('a release in production', () => {
  let database: TestDatabase;
  let redis: TestRedis;
  let mail: SmtpSink;
  let tree: Tree | undefined;
  before(async () => {
    database = await createDatabase();
    redis = await startTestRedis();
    mail = await startSmtpSink();
  });
  afterEach(async () => {
    await tree?.cleanup();
    tree = undefined;
  });
  after(async () => {
    await mail.stop();
    await redis.remove();
    await database.drop();
  });

  const env = () => ({
    NODE_ENV: 'production',
    WEB_CONCURRENCY: '1',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    SMTP_URL: mail.url,
    APP_URL: 'https://shop.example',
  });
  const migrations = async () => {
    const [row] = await database.query<{ count: number }>(
      `select count(*)::int from pg_tables where schemaname = 'public' and tablename = 'knex_migrations'`,
    );
    if (row?.count === 0) return [];
    const rows = await database.query<{ name: string }>('select name from knex_migrations order by id');
    return rows.map(({ name }) => name.replace(/^\d+_/, ''));
  };

  it('start migrates nothing, starts nothing embedded and says which migrations are to be run', async () => {
    tree = await startTree({ env: env() });
    const { text } = await tree.waitForLine(/migrations have not run/);
    for (const name of MIGRATIONS) assert.match(text, new RegExp(name));
    assert.match(text, /Run: node dist\/server\.js migrate/);
    assert.deepEqual([...(await migrations())], []);
    const { postgres, redis: embeddedRedis, keeper } = tree.processes();
    assert.deepEqual([postgres, embeddedRedis, keeper], [undefined, undefined, undefined]);
    assert.equal((await tree.stop()).code, 0);
    const state = path.join(tree.cwd, '.catamount');
    assert.deepEqual(fs.existsSync(state) ? fs.readdirSync(state) : [], []);
  });

  it('migrate does, and runs none twice', async () => {
    for (const expected of [MIGRATIONS, []]) {
      tree = spawnTree({ env: env(), args: ['migrate'] });
      assert.equal((await tree.end()).code, 0);
      const done = tree.linesMatching(/migrated up/).map(({ text }) => /\d_(\w+)/.exec(text)?.[1]);
      assert.deepEqual(done, expected);
      await tree.cleanup();
    }
    assert.deepEqual(await migrations(), MIGRATIONS);
  });

  it('then start has nothing to say, and no process ever loads lib/embedded', async () => {
    const reports = tempFolder('reports');
    const preload = path.join(__dirname, 'report-modules.cjs');
    const more = { NODE_OPTIONS: `--require ${preload}`, REPORT_MODULES_TO: reports };
    tree = await startTree({ env: { ...env(), ...more } });
    assert.equal((await tree.request('POST', '/users', { json: { email: 'ada@example.com' } })).status, 201);
    await mail.waitFor(1);
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(
      tree.linesMatching(({ json }) => json.level === 'warn'),
      [],
    );

    const all = fs
      .readdirSync(reports)
      .map((file) => JSON.parse(fs.readFileSync(path.join(reports, file), 'utf8')) as Report);
    const roles = all.map(({ title }) => /^catamount: (\w+)/.exec(title)?.[1]);
    assert.deepEqual(roles.sort(), ['jobs', 'primary', 'web']);
    for (const { title, loaded } of all) {
      assert.ok(loaded.length > 10, title);
      assert.deepEqual(
        loaded.filter((file) => file.includes('/embedded/')),
        [],
        title,
      );
    }
  });

  it('start without URLs names every one that is missing, and exits 78', async () => {
    tree = spawnTree({ env: { NODE_ENV: 'production' } });
    assert.equal((await tree.end()).code, 78);
    const text = tree.lines.map((line) => line.text).join('\n');
    for (const variable of ['DATABASE_URL', 'REDIS_URL', 'SMTP_URL']) assert.match(text, new RegExp(`${variable} `));
    assert.match(text, /nothing embedded starts in production/);
  });
});
