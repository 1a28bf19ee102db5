import assert from 'node:assert/strict';
import { catamountWith } from '../cluster/primary/operator';
import { ScrapedText } from '../ops/metrics/scrape';
import { cookiesOf, SIGNED, tokenIn } from '../ops/ops-web';
import { request } from '../support/http';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { spawnTree, startTree, type Tree } from '../support/tree';
import { until } from '../support/until';

const TOKEN = 'sesame-opens-0123456789';
const SECRET = 'x'.repeat(32);

describe('a tree in production whose database nobody has migrated', () => {
  let database: TestDatabase;
  let redis: TestRedis;
  const trees: Tree[] = [];
  before(async () => {
    database = await createDatabase();
    redis = await startTestRedis();
  });
  afterEach(async () => {
    await Promise.all(trees.splice(0).map((tree) => tree.cleanup()));
  });
  after(async () => {
    await redis.remove();
    await database.drop();
  });

  const env = () => ({
    NODE_ENV: 'production',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    MAIL_DELIVERY: 'log',
    MAIL_FROM: 'a@shop.example',
    APP_URL: 'https://shop.example',
  });
  const start = async (more: Readonly<Record<string, string>>) => {
    const tree = await startTree({ env: { ...env(), ...SIGNED, METRICS_TOKEN: TOKEN, WEB_CONCURRENCY: '1', ...more } });
    trees.push(tree);
    return tree;
  };
  const signIn = async (tree: Tree) => {
    const page = await tree.request('GET', '/ops/sign-in');
    const fields = { name: SIGNED.OPS_USER, password: SIGNED.OPS_PASSWORD, token: tokenIn(page.body) };
    return request(`${tree.baseUrl}/ops/sign-in`, {
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: tree.baseUrl,
        cookie: cookiesOf(page),
        accept: 'text/html',
      },
    });
  };

  it('says what to run to whoever signs in', async () => {
    const tree = await start({});
    const answer = await signIn(tree);
    assert.equal(answer.status, 503, answer.body);
    assert.match(answer.body, /has not been migrated.*catamount db migrate/s);
    assert.equal((await tree.stop()).code, 0);
  });

  it('says so on /ops, by status, in top and in the metrics, until they have run and it is ready', async () => {
    const tree = await start({ OPS_SECRET: SECRET });
    const answer = await signIn(tree);
    assert.equal(answer.status, 303, answer.body);
    const page = async () => (await tree.request('GET', '/ops', { headers: { cookie: cookiesOf(answer) } })).body;
    const typed = (command: 'status' | 'top') => catamountWith(env(), tree.cwd, command);
    const metrics = async () => {
      const scraped = await tree.request('GET', '/ops/metrics', { headers: { Authorization: `Bearer ${TOKEN}` } });
      const lines = ScrapedText.of(scraped).metrics.get('catamount_issues')?.lines ?? [];
      return lines.flatMap(({ labels, value }) => (value > 0 ? [labels.code] : []));
    };
    const told = /migrations have not run:/;
    await until('the page says so', async () => told.test(await page()));
    assert.deepEqual(await metrics(), ['migrationsPending']);
    for (const command of ['status', 'top'] as const) {
      const { stdout, code } = await typed(command);
      assert.equal(code, command === 'status' ? 3 : 0);
      assert.match(stdout, told);
      assert.match(stdout, /catamount db migrate/);
      const [health = ''] = stdout.split('\n  events');
      assert.doesNotMatch(health, /select |relation |All is well/);
    }
    const migration = spawnTree({ args: ['migrate'], env: env() });
    trees.push(migration);
    assert.equal((await migration.exited).code, 0);
    await until('all is well', async () => {
      const [status, ready] = [await typed('status'), await tree.request('GET', '/ready')];
      assert.equal(ready.status, 200, ready.body);
      assert.match(status.stdout, /^All is well/m);
      assert.equal(status.code, 0);
      return true;
    });
    assert.deepEqual(await metrics(), []);
  });
});
