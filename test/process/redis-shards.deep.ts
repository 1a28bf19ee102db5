import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { catamount } from '../cli/cli-process';
import { cookiesOf, SIGNED, tokenIn } from '../ops/ops-web';
import { startTestRedis, type TestRedis } from '../support/redis';
import { tell } from '../support/replicated-redis';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, SignUpStream, signUpMany, signUpsThrough } from './sign-ups';
import { Surroundings } from './surroundings';

const ENTRY = path.resolve(__dirname, '../../dist/server.js');
const run = promisify(execFile);

describe('queues on several Redis servers', () => {
  let around: Surroundings;
  let mails: TestRedis;
  let reports: TestRedis;
  const shards = () => `mailer=${mails.url} reports=${reports.url}`;
  const env = () => ({ REDIS_SHARDS: shards(), ...SIGNED });

  beforeEach(async () => {
    [around, mails, reports] = await Promise.all([Surroundings.make(), startTestRedis(), startTestRedis()]);
  });
  afterEach(async () => {
    await around.remove();
    await Promise.all([mails.remove(), reports.remove()]);
  });

  const keysOf = async (redis: TestRedis, pattern: string) =>
    ((await tell(redis, ['KEYS', pattern])) as string[]).sort();

  /** Enqueues a job for a user who does not exist, and waits until it has run. */
  async function runs(tree: Tree, queue: string): Promise<void> {
    const from = tree.lines.length;
    const typed = ['jobs', 'enqueue', 'WelcomeEmailJob', '["999999999"]', '--queue', queue];
    await run(process.execPath, [ENTRY, ...typed], { cwd: tree.cwd, env: { ...process.env, ...around.env, ...env() } });
    await tree.waitForLine(/WelcomeEmailJob done/, { from });
  }

  async function signIn(tree: Tree): Promise<string> {
    const page = await tree.request('GET', '/ops/sign-in');
    const fields = { name: SIGNED.OPS_USER, password: SIGNED.OPS_PASSWORD, token: tokenIn(page.body) };
    const answer = await tree.request('POST', '/ops/sign-in', {
      body: new URLSearchParams(fields).toString(),
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        Origin: tree.baseUrl,
        Cookie: cookiesOf(page),
      },
    });
    return cookiesOf(answer);
  }

  it('are kept apart: each server has the keys of its own queues only', async () => {
    const tree = await around.start({ env: env() });
    await signUpsThrough(around, tree, async () => {
      await runs(tree, 'reports');
      await runs(tree, 'default');
    });
    assert.deepEqual(await keysOf(around.redis, 'bq:mailer:*'), []);
    assert.deepEqual(await keysOf(around.redis, 'bq:reports:*'), []);
    const queues = (redis: TestRedis) => tell(redis, ['ZRANGE', 'catamount:queues', '0', '-1']);
    assert.deepEqual(
      [await queues(around.redis), await queues(mails), await queues(reports)],
      [['default'], ['mailer'], ['reports']],
    );
    assert.deepEqual(await keysOf(mails, 'catamount:process*'), [], 'processors are listed in one place');
  });

  for (const [how, leave, come] of [
    ['stopped', () => mails.stop(), () => mails.start()],
    ['frozen', async () => mails.pause(), async () => mails.resume()],
  ] as const) {
    it(`whose server is ${how} wait for it, and all others continue`, async () => {
      const tree = await around.start({ env: env() });
      await signUpMany(tree, 10);
      const stream = new SignUpStream(tree, 2);
      await stream.more(10);
      await leave();
      await stream.more(10);
      await stream.stop();
      assert.deepEqual(stream.failures, []);
      const { host } = new URL(mails.url);
      const told = new RegExp(`mailer at ${host}`);
      await Promise.all([
        until('/ready reports it', async () => {
          const { status, body } = await tree.request('GET', '/ready');
          assert.ok(!body.includes(host), 'the address is not public');
          return (
            status === 200 &&
            /"jobs":"stalled".*a queue with jobs \(mailer\) stands still: (the server cannot be reached|there is no answer)/.test(
              body,
            )
          );
        }),
        tree.waitForLine(told),
      ]);
      await tree.waitForLine(/with the queues mailer, is not reachable/);
      const { stdout } = await catamount(tree.cwd, ['status']);
      assert.match(stdout, told);
      const queues = await tree.request('GET', '/ops/jobs/queues.json', { headers: { Cookie: await signIn(tree) } });
      assert.deepEqual(queues.json().away, [`mailer at ${host}`]);
      await signUpMany(tree, 10);
      const mailed = around.sink.messages.length;
      await runs(tree, 'reports');
      await runs(tree, 'default');
      await signUpMany(tree, 10);
      assert.equal(around.sink.messages.length, mailed);
      await come();
      await signUpMany(tree, 10);
      await assertOneMailEach(around);
      await until('nothing stands still', async () => (await tree.request('GET', '/ready')).json().jobs !== 'stalled');
      assert.equal((await tree.stop()).code, 0);
    });
  }

  it('whose server comes back empty have the lost jobs dispatched again', async () => {
    const tree = await around.start({ env: env() });
    await signUpsThrough(around, tree, async (stream) => {
      around.sink.hold();
      await stream.more(20);
      await until('two mails are in flight', () => around.sink.waiting === 2);
      await mails.kill();
      await stream.more(10);
      await mails.restart({ wipe: true });
      await stream.more(10);
      around.sink.release();
    });
    assert.ok(tree.linesMatching(/Redis had lost \d+ job/).length > 0);
  });

  it('prevent the start if one server may evict any key', async () => {
    // Redis 6.2 sets only one parameter per command.
    await tell(reports, ['CONFIG', 'SET', 'maxmemory', '64mb']);
    await tell(reports, ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru']);
    const tree = around.spawn({ env: env() });
    const { text } = await tree.waitForLine(/^Catamount cannot start: Redis at /);
    assert.equal((await tree.exited).code, 78);
    assert.match(text, new RegExp(`${new URL(reports.url).host} would delete jobs when its memory is full`));
  });
});
