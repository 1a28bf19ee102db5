import assert from 'node:assert/strict';
import { OlderRedis, WITHOUT_HELLO } from '../support/older-redis';
import { startTestRedis } from '../support/redis';
import { RedisCluster } from '../support/redis-cluster';
import { ReplicatedRedis, tell } from '../support/replicated-redis';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { signUpsThrough } from './sign-ups';

/** See the table in lib/cluster/compatibility.md: kinds of Redis other than one plain server. */
describe('a Redis that is', () => {
  const deployment = useDeployment();
  let removals: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    await Promise.all(removals.map((remove) => remove()));
    removals = [];
  });

  const readiness = async (tree: Tree) => (await tree.request('GET', '/ready')).json().status;

  it('demoted to a replica behind its host name is reported by /ready, and the jobs continue on the new master', async () => {
    const pair = await ReplicatedRedis.start();
    removals.push(() => pair.remove());
    const tree = await deployment.start({ env: { REDIS_URL: pair.url } });
    await signUpsThrough(deployment, tree, async (stream) => {
      await pair.demote();
      await tree.waitForLine(/Redis is not reachable: READONLY/);
      await until('it is degraded', async () => (await readiness(tree)) === 'degraded');
      await stream.more(10);
      pair.rename();
      await until('all is well again', async () => (await readiness(tree)) === 'ok');
    });
  });

  it('allowed to evict keys that expire, and that forbids CONFIG, serves after a warning; out of memory is logged, and jobs continue', async () => {
    const redis = await startTestRedis('--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru');
    removals.push(() => redis.remove());
    await tell(redis, ['ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-config', '-@admin']);
    const url = redis.url.replace('redis://', 'redis://app:secret@');
    const tree = await deployment.start({ env: { REDIS_URL: url } });
    await tree.waitForLine(/Redis at \S+ deletes .* \(maxmemory-policy allkeys-lru\): set it to noeviction\./);
    await signUpsThrough(deployment, tree, async (stream) => {
      await tell(redis, ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1']);
      await tree.waitForLine(/OOM command not allowed/);
      await stream.more(10);
      await tell(redis, ['CONFIG', 'SET', 'maxmemory', '0']);
    });
  });

  it('exchanged for one that is too old is only warned of by a processor that replaces one that has died', async () => {
    const exchanged = new OlderRedis(deployment.redis, undefined);
    removals.push(() => exchanged.close());
    const tree = await deployment.start({ env: { REDIS_URL: await exchanged.open() } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    exchanged.version = '6.0';
    const from = tree.lines.length;
    process.kill(tree.processes().jobs ?? assert.fail(), 'SIGKILL');
    await tree.waitForLine(/is version 6\.0\.\d+, which cannot be used/, { from });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
  });

  const REFUSED: Readonly<Record<string, { readonly url: () => Promise<string>; readonly says: RegExp }>> = {
    'in cluster mode': {
      url: async () => {
        const cluster = await RedisCluster.start(1);
        removals.push(() => cluster.remove());
        return cluster.first.url;
      },
      says: /is in cluster mode, which cannot be used: use one without it\.$/,
    },
    'older than 6.2': {
      url: async () => {
        const older = new OlderRedis(deployment.redis, '6.0');
        removals.push(() => older.close());
        return older.open();
      },
      says: /is version 6\.0\.\d+, which cannot be used: use 6\.2 or newer\.$/,
    },
    'older than 6.0, which the client cannot talk to,': {
      url: async () => {
        const ancient = await startTestRedis(...WITHOUT_HELLO);
        removals.push(() => ancient.remove());
        return ancient.url;
      },
      says: /is older than 6\.0, since it does not know HELLO, and cannot be used: use 6\.2 or newer\.$/,
    },
  };
  for (const [kind, { url, says }] of Object.entries(REFUSED))
    it(`${kind} prevents the start`, async () => {
      const tree = deployment.spawn({ env: { REDIS_URL: await url() } });
      const { text } = await tree.waitForLine(/^Catamount cannot start: Redis at /);
      assert.match(text, says);
      assert.equal((await tree.exited).code, 78);
    });
});
