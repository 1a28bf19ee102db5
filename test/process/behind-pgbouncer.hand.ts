import assert from 'node:assert/strict';
import { readTree } from '../../lib/cluster/control/commands';
import { catamount, catamountWith, order } from '../cluster/primary/operator';
import { BEARER, OPS_TOKEN } from '../ops/ops-web';
import { PgBouncer } from '../support/pgbouncer';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, SignUpStream, signUpsThrough } from './sign-ups';

type Settings = Readonly<Record<string, string>>;

/** Any log line about the connection to Postgres that an operator would have to read. */
const TOLD = /pooler|notification|prepared statement|DATABASE_DIRECT_URL/;

/**
 * Runs PgBouncer in transaction mode. No npm package contains its binary, so this file is in no tier: where pgbouncer is
 * installed, run `npm test -- test/process/behind-pgbouncer.hand.ts`. The tiers use our own pooler instead
 * (test/support/transaction-pooler.ts).
 */
describe('behind PgBouncer in transaction mode', () => {
  const deployment = useDeployment({ each: true });
  let pooler: PgBouncer | undefined;
  afterEach(async () => {
    await pooler?.remove();
    pooler = undefined;
  });

  /** @param env settings of the tree besides DATABASE_URL, which leads through PgBouncer. */
  async function start(settings: Settings, env: Settings): Promise<Tree> {
    pooler = await PgBouncer.start(deployment.database.url, settings);
    const tree = await deployment.start({ env: { ...env, DATABASE_URL: pooler.url } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    return tree;
  }

  const past = (): Settings => ({ DATABASE_DIRECT_URL: deployment.database.url });
  const told = (tree: Tree) => tree.linesMatching(TOLD).map(({ text }) => text);
  const isReady = (tree: Tree) =>
    until('it is ready', async () => {
      const { status, body } = await tree.request('GET', '/ready');
      return status === 200 && body.includes('"status":"ok"');
    });
  const isNotified = async (tree: Tree) => {
    const { lastStatus } = readTree(await order(tree, 'status')).stats.jobProcessor;
    return 'listening' in lastStatus && lastStatus.listening === true;
  };
  const codesOnOps = async (tree: Tree) => {
    const { body } = await tree.request('GET', '/ops.json', { headers: BEARER });
    return [...body.matchAll(/"code":\s*"(\w+)"/g)].map(([, code]) => code);
  };

  for (const prepared of ['0', '100'])
    it(`with DATABASE_DIRECT_URL and max_prepared_statements = ${prepared}: notifications arrive, and nothing is logged`, async () => {
      const tree = await start({ max_prepared_statements: prepared }, past());
      await until('notifications arrive', () => isNotified(tree));
      await signUpsThrough(deployment, tree, (stream) => stream.more(100));
      assert.deepEqual(told(tree), []);
    });

  it('without DATABASE_DIRECT_URL: jobs run, and the log, the status and /ops name the setting', async () => {
    const tree = await start({}, { NODE_ENV: 'development', OPS_TOKEN });
    await tree.waitForLine(/notifications of Postgres do not arrive.*set DATABASE_DIRECT_URL/);
    await until('/ops reports it', async () => (await codesOnOps(tree)).includes('listenDeaf'));
    const { stdout } = await catamountWith(deployment.env, tree.cwd, 'status');
    assert.match(stdout, /Set DATABASE_DIRECT_URL to the URL of Postgres itself/);
    await isReady(tree);
    await signUpsThrough(deployment, tree, (stream) => stream.more(100));
  });

  it('killed and started again: no accepted sign-up is lost, and the tree recovers by itself', async () => {
    const tree = await start({}, past());
    const stream = new SignUpStream(tree, 4);
    for (let times = 0; times < 3; times++) {
      await stream.more(20);
      await pooler?.kill();
      await until('/ready answers 503', async () => (await tree.request('GET', '/ready')).status === 503);
      await pooler?.start();
      await isReady(tree);
    }
    await stream.more(20);
    await stream.stop();
    assert.ok(stream.failures.length > 0, 'no request met the outage');
    assert.deepEqual([...new Set(stream.failures)], ['503']);
    await assertOneMailEach(deployment);
    const users = new Set(await deployment.users());
    assert.deepEqual(
      stream.accepted.filter((email) => !users.has(email)),
      [],
    );
    assert.equal((await tree.stop()).code, 0);
  });

  it('with named prepared statements: a tree that is restarted leaves none behind, and loses nothing', async () => {
    const tree = await start({ max_prepared_statements: '100', default_pool_size: '2' }, past());
    await signUpsThrough(deployment, tree, async (stream) => {
      for (const command of ['phased-restart', 'restart']) {
        const from = tree.lines.length;
        const { code, stderr } = await catamount(tree.cwd, command);
        assert.equal(code, 0, stderr);
        await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
        await stream.more(20);
      }
      // Otherwise another client's statement of the same name would clash with one that a connection has kept.
      const kept = (await pooler?.preparedStatements()) ?? [];
      assert.ok(kept.length > 0);
      assert.deepEqual(new Set(kept), new Set([0]));
    });
    const env = { ...past(), DATABASE_URL: pooler?.url };
    const again = await deployment.start({ env });
    await signUpsThrough(deployment, again, (stream) => stream.more(20));
    for (const one of [tree, again]) assert.deepEqual(told(one), []);
  });
});
