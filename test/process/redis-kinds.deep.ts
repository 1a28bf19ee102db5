import assert from 'node:assert/strict';
import { freePort } from '../../lib/embedded/server-process';
import { startTestRedis, type TestRedis } from '../support/redis';
import { ReplicatedRedis, tell } from '../support/replicated-redis';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, SignUpStream } from './sign-ups';
import { Surroundings } from './surroundings';

/** The table of lib/cluster/README.md: kinds of Redis beside one plain server. */
describe('a Redis that is', () => {
  let around: Surroundings;
  let removals: (() => Promise<unknown>)[] = [];
  before(async () => {
    around = await Surroundings.make();
  });
  afterEach(async () => {
    await Promise.all(removals.map((remove) => remove()));
    removals = [];
  });
  after(() => around.remove());

  const readiness = async (tree: Tree) => (await tree.request('GET', '/ready')).status;

  /** People sign up before, during and after; each is answered 201 and has one mail. */
  async function signUpsThrough(tree: Tree, happens: (stream: SignUpStream) => Promise<void>): Promise<void> {
    const stream = new SignUpStream(tree, 2);
    await stream.more(10);
    await happens(stream);
    await stream.more(10);
    await stream.stop();
    assert.deepEqual(stream.failures, []);
    await assertOneMailEach(around);
    assert.equal((await tree.stop()).code, 0);
  }

  it('made a replica behind its name: told, not ready, and the jobs go on at the new master', async () => {
    const pair = await ReplicatedRedis.start();
    removals.push(() => pair.remove());
    const tree = await around.start({ env: { REDIS_URL: pair.url } });
    await signUpsThrough(tree, async (stream) => {
      await pair.demote();
      await tree.waitForLine(/Redis is not reachable: READONLY/);
      await until('it is not ready', async () => (await readiness(tree)) === 503);
      await stream.more(10);
      pair.rename();
      await until('it is ready again', async () => (await readiness(tree)) === 200);
    });
  });

  it('out of memory: told, and the jobs go on when it has some', async () => {
    const tree = await around.start();
    await signUpsThrough(tree, async (stream) => {
      await tell(around.redis, ['CONFIG', 'SET', 'maxmemory', '1']);
      await tree.waitForLine(/OOM command not allowed/);
      await stream.more(10);
      await tell(around.redis, ['CONFIG', 'SET', 'maxmemory', '0']);
    });
  });

  async function redisWith(...settings: string[]): Promise<TestRedis> {
    const redis = await startTestRedis(...settings);
    removals.push(() => redis.remove());
    return redis;
  }

  interface ClusterNode {
    readonly redis: TestRedis;
    readonly busPort: number;
    readonly slots: readonly [first: number, last: number];
  }

  async function clusterNode(...slots: ClusterNode['slots']): Promise<ClusterNode> {
    const busPort = await freePort();
    const redis = await redisWith('--cluster-enabled', 'yes', '--cluster-port', String(busPort));
    await tell(redis, ['CLUSTER', 'ADDSLOTSRANGE', ...slots.map(String)]);
    return { redis, busPort, slots };
  }

  const isComplete = (redis: TestRedis) =>
    until('the cluster is complete', async () =>
      String(await tell(redis, ['CLUSTER', 'INFO'])).includes('cluster_state:ok'),
    );

  /** One node that has all slots. */
  async function cluster(): Promise<TestRedis> {
    const { redis } = await clusterNode(0, 16_383);
    await isComplete(redis);
    return redis;
  }

  /** @returns of three nodes that with the keys of this prefix, and another. */
  async function clusterOfThree(prefix: string): Promise<{ readonly owner: TestRedis; readonly other: TestRedis }> {
    const nodes = await Promise.all([clusterNode(0, 5000), clusterNode(5001, 10_000), clusterNode(10_001, 16_383)]);
    const [{ redis: first }] = nodes;
    for (const [index, { redis }] of nodes.entries())
      await tell(redis, ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)]);
    for (const { redis, busPort } of nodes)
      await tell(first, ['CLUSTER', 'MEET', '127.0.0.1', String(redis.port), String(busPort)]);
    await Promise.all(nodes.map(({ redis }) => isComplete(redis)));
    const slot = Number(await tell(first, ['CLUSTER', 'KEYSLOT', `{${prefix}}`]));
    const owner = nodes.find(({ slots: [from, to] }) => slot >= from && slot <= to) ?? assert.fail(`slot ${slot}`);
    const other = nodes.find((node) => node !== owner) ?? assert.fail('there is no other');
    return { owner: owner.redis, other: other.redis };
  }

  async function refused(redis: TestRedis, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const tree = around.spawn({ env: { REDIS_URL: redis.url, ...env } });
    const { text } = await tree.waitForLine(/^Catamount cannot start: Redis at /);
    assert.equal((await tree.exited).code, 78);
    return text;
  }

  it('allowed to delete any key: the start is refused', async () => {
    const text = await refused(await redisWith('--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'));
    assert.match(text, /would delete jobs when its memory is full: set its maxmemory-policy, which is allkeys-lru/);
  });

  it('in cluster mode, without a prefix: the start is refused', async () => {
    assert.match(await refused(await cluster()), /is in cluster mode, .*set REDIS_PREFIX/);
  });

  it('in cluster mode, with a prefix: as any other', async () => {
    const redis = await cluster();
    const tree = await around.start({ env: { REDIS_URL: redis.url, REDIS_PREFIX: 'shop' } });
    await signUpsThrough(tree, (stream) => stream.more(10));
    const keys = (await tell(redis, ['KEYS', '*'])) as string[];
    assert.deepEqual(
      keys.filter((key) => !key.startsWith('{shop}')),
      [],
    );
  });

  it('a cluster of three: the node of the prefix is as any other, another one is refused, and the right one named', async () => {
    const { owner, other } = await clusterOfThree('shop');
    const text = await refused(other, { REDIS_PREFIX: 'shop' });
    assert.ok(text.includes(`let the Redis URL lead to 127.0.0.1:${owner.port}`), text);
    const tree = await around.start({ env: { REDIS_URL: owner.url, REDIS_PREFIX: 'shop' } });
    await signUpsThrough(tree, (stream) => stream.more(10));
  });

  it('allowed to delete keys that expire, and forbids CONFIG: warned of, and as any other', async () => {
    const redis = await redisWith('--maxmemory', '64mb', '--maxmemory-policy', 'volatile-lru');
    await tell(redis, ['ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-config', '-@admin']);
    const url = redis.url.replace('redis://', 'redis://app:secret@');
    const tree = await around.start({ env: { REDIS_URL: url } });
    await tree.waitForLine(/its maxmemory-policy, which is volatile-lru, to noeviction/);
    await signUpsThrough(tree, (stream) => stream.more(10));
  });

  it('shared by two apps, each with a prefix: neither meets anything of the other', async () => {
    const other = await Surroundings.make();
    removals.push(() => other.remove());
    const [one, two] = await Promise.all([
      around.start({ env: { REDIS_PREFIX: 'one' } }),
      other.start({ env: { REDIS_URL: around.redis.url, REDIS_PREFIX: 'two' } }),
    ]);
    const stream = new SignUpStream(two, 2);
    await signUpsThrough(one, (first) => first.more(10));
    await stream.more(10);
    await stream.stop();
    await assertOneMailEach(other);
    assert.equal((await two.stop()).code, 0);
    const queues = async (prefix: string) => {
      const names = await tell(around.redis, ['ZRANGE', `{${prefix}}catamount:queues`, '0', '-1']);
      return Array.isArray(names) ? names.sort() : names;
    };
    assert.deepEqual(await queues('one'), await queues('two'));
    assert.deepEqual(await queues('one'), ['default', 'mailer']);
  });
});
