import assert from 'node:assert/strict';
import { tell } from '../support/replicated-redis';
import { WatchedRedis } from '../support/sentinels';
import { until } from '../support/until';
import { signUpsThrough } from './sign-ups';
import { Surroundings } from './surroundings';

/** See the table in lib/cluster/compatibility.md: a master that sentinels watch. */
describe('a Redis that sentinels watch', () => {
  let around: Surroundings;
  let watched: WatchedRedis;
  before(async () => {
    around = await Surroundings.make();
  });
  afterEach(() => watched.remove());
  after(() => around.remove());

  const isMaster = async (index: 0 | 1) =>
    String(await tell(watched.servers[index], ['INFO', 'replication'])).includes('role:master');
  const promoted = () => until('the replica is promoted', () => isMaster(1));

  it('is followed to the new master when the old one is killed, even if a sentinel does not answer', async () => {
    watched = await WatchedRedis.start();
    const { servers, sentinels } = watched;
    sentinels[0].pause();
    const tree = await around.start({ env: { REDIS_URL: watched.url() } });
    await signUpsThrough(around, tree, async (stream) => {
      await servers[0].kill();
      await stream.more(10);
      await promoted();
      await until('it is ready', async () => (await tree.request('GET', '/ready')).status === 200);
    });
    assert.ok(Number(await tell(servers[1], ['DBSIZE'])) > 0, 'the new master is written to');
  });

  it('is followed when its master is frozen and later resumes, with sentinels that require a password', async () => {
    watched = await WatchedRedis.start('guarded');
    const { servers } = watched;
    const tree = await around.start({ env: { REDIS_URL: watched.url() } });
    const connections = async () =>
      String(await tell(servers[1], ['CLIENT', 'LIST', 'TYPE', 'PUBSUB']))
        .split('\n')
        .filter(Boolean).length;
    await signUpsThrough(around, tree, async (stream) => {
      servers[0].pause();
      await promoted();
      // Two connections belong to the sentinels, the others to us.
      const before = await connections();
      await until('the subscriptions have moved', async () => (await connections()) > before);
      await until('it is ready', async () => (await tree.request('GET', '/ready')).status === 200);
      await stream.more(10);
      servers[0].resume();
      await until('the old master is a replica', async () => !(await isMaster(0)));
    });
  });

  it('under a name that no sentinel knows prevents the start', async () => {
    watched = await WatchedRedis.start();
    const tree = around.spawn({ env: { REDIS_URL: watched.url('shops') } });
    const { text } = await tree.waitForLine(/^Catamount cannot start: Redis at /);
    assert.match(text, /the sentinels at 127\.0\.0\.1:.* watch no master called shops\. Set the name /);
    assert.equal((await tree.exited).code, 78);
  });

  it('is waited for while no sentinel answers', async () => {
    watched = await WatchedRedis.start();
    await Promise.all(watched.sentinels.map((sentinel) => sentinel.kill()));
    const tree = await around.start({ env: { REDIS_URL: watched.url() } });
    await tree.waitForLine(/Redis is not reachable: no sentinel answers/);
    const { status } = await tree.request('POST', '/users', { json: { email: 'early@example.com', name: 'Early' } });
    assert.equal(status, 201);
    await Promise.all(watched.sentinels.map((sentinel) => sentinel.start()));
    await signUpsThrough(around, tree, (stream) => stream.more(1));
  });
});
