import assert from 'node:assert/strict';
import { OlderRedis, WITHOUT_HELLO } from '../support/older-redis';
import { startTestRedis, type TestRedis } from '../support/redis';
import { RedisCluster } from '../support/redis-cluster';
import { ReplicatedRedis, tell } from '../support/replicated-redis';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, SignUpStream, signUpsThrough } from './sign-ups';
import { Surroundings } from './surroundings';

/** See the table in lib/cluster/compatibility.md: kinds of Redis other than one plain server. */
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

  const readiness = async (tree: Tree) => (await tree.request('GET', '/ready')).json().status;

  it('demoted to a replica behind its host name is reported by /ready, and the jobs continue on the new master', async () => {
    const pair = await ReplicatedRedis.start();
    removals.push(() => pair.remove());
    const tree = await around.start({ env: { REDIS_URL: pair.url } });
    await signUpsThrough(around, tree, async (stream) => {
      await pair.demote();
      await tree.waitForLine(/Redis is not reachable: READONLY/);
      await until('it is degraded', async () => (await readiness(tree)) === 'degraded');
      await stream.more(10);
      pair.rename();
      await until('all is well again', async () => (await readiness(tree)) === 'ok');
    });
  });

  it('out of memory is logged, and the jobs continue when it has memory again', async () => {
    const tree = await around.start();
    await signUpsThrough(around, tree, async (stream) => {
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

  async function cluster(): Promise<TestRedis> {
    const one = await RedisCluster.start(1);
    removals.push(() => one.remove());
    return one.first;
  }

  async function refused(redis: Pick<TestRedis, 'url'>, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const tree = around.spawn({ env: { REDIS_URL: redis.url, ...env } });
    const { text } = await tree.waitForLine(/^Catamount cannot start: Redis at /);
    assert.equal((await tree.exited).code, 78);
    return text;
  }

  it('in cluster mode prevents the start, with a prefix or without', async () => {
    const redis = await cluster();
    for (const env of [{}, { REDIS_PREFIX: 'shop' }])
      assert.match(await refused(redis, env), /is in cluster mode, which cannot be used: use one without it, .*\.$/);
  });

  it('older than 6.2 prevents the start', async () => {
    const older = new OlderRedis(around.redis, '6.0');
    removals.push(() => older.close());
    const text = await refused({ url: await older.open() });
    assert.match(text, /is version 6\.0\.\d+, which cannot be used: use 6\.2 or newer\.$/);
  });

  it('older than 6.0, which the client cannot talk to, prevents the start', async () => {
    const text = await refused(await redisWith(...WITHOUT_HELLO));
    assert.match(text, /is older than 6\.0, since it does not know HELLO, and cannot be used: use 6\.2 or newer\.$/);
  });

  it('allowed to evict keys that expire, and that forbids CONFIG, serves like any other after a warning', async () => {
    const redis = await redisWith('--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru');
    await tell(redis, ['ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-config', '-@admin']);
    const url = redis.url.replace('redis://', 'redis://app:secret@');
    const tree = await around.start({ env: { REDIS_URL: url } });
    await tree.waitForLine(/Redis at \S+ deletes .* \(maxmemory-policy allkeys-lru\): set it to noeviction\./);
    await signUpsThrough(around, tree, (stream) => stream.more(10));
  });

  it('shared by two apps with different prefixes keeps them apart', async () => {
    const other = await Surroundings.make();
    removals.push(() => other.remove());
    const [one, two] = await Promise.all([
      around.start({ env: { REDIS_PREFIX: 'one' } }),
      other.start({ env: { REDIS_URL: around.redis.url, REDIS_PREFIX: 'two' } }),
    ]);
    const trees = (prefix: string) => tell(around.redis, ['ZCARD', `{${prefix}}catamount:trees`]);
    const stream = new SignUpStream(two, 2);
    await signUpsThrough(around, one, async (first) => {
      await first.more(10);
      assert.deepEqual([await trees('one'), await trees('two')], [1, 1]);
    });
    await stream.more(10);
    await stream.stop();
    await assertOneMailEach(other);
    assert.equal((await two.stop()).code, 0);
  });
});
