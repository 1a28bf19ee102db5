import assert from 'node:assert/strict';
import type { TestRedis } from '../support/redis';
import { RedisCluster } from '../support/redis-cluster';
import { tell } from '../support/replicated-redis';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { signUpsThrough } from './sign-ups';
import { Surroundings } from './surroundings';

/** See the table in lib/cluster/compatibility.md: a cluster with three masters, one of which has the keys of the app. */
describe('a Redis cluster with three masters', () => {
  let around: Surroundings;
  let cluster: RedisCluster;
  before(async () => {
    around = await Surroundings.make();
  });
  beforeEach(async () => {
    cluster = await RedisCluster.start(3);
  });
  afterEach(() => cluster.remove());
  after(() => around.remove());

  const startAt = ({ url }: TestRedis) => around.start({ env: { REDIS_URL: url, REDIS_PREFIX: 'shop' } });
  const isReady = (tree: Tree) =>
    until('it is ready', async () => (await tree.request('GET', '/ready')).status === 200);
  /** Waits until the processor fetches from this server. */
  const isUsed = (redis: TestRedis) =>
    until('the processor has subscribed', async () =>
      /sub=[1-9]/.test(String(await tell(redis, ['CLIENT', 'LIST', 'TYPE', 'PUBSUB']))),
    );

  it('can be reached through a node that does not have the keys, and nothing is logged', async () => {
    const tree = await startAt(await cluster.other());
    await signUpsThrough(around, tree, (stream) => stream.more(10));
    assert.ok(Number(await tell(await cluster.owner(), ['DBSIZE'])) > 0);
    assert.deepEqual(
      tree.lines.filter((line) => /not reachable|MOVED|cannot be checked/.test(line.text)).map((line) => line.text),
      [],
    );
  });

  it('is followed when the slot moves to another node', async () => {
    const tree = await startAt(await cluster.owner());
    await signUpsThrough(around, tree, async (stream) => {
      const next = await cluster.migrate();
      await isUsed(next);
      await isReady(tree);
      await stream.more(10);
    });
  });

  it('is followed when a replica replaces the master that the URL names', async () => {
    const replica = await cluster.addReplica();
    const owner = await cluster.owner();
    const tree = await startAt(owner);
    // A process learns the other nodes from its first connection.
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await signUpsThrough(around, tree, async (stream) => {
      await owner.kill();
      await stream.more(10);
      await isUsed(replica);
      await isReady(tree);
    });
  });
});
