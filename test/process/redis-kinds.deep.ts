import assert from 'node:assert/strict';
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
});
