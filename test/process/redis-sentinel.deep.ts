import assert from 'node:assert/strict';
import { tell } from '../support/replicated-redis';
import { WatchedRedis } from '../support/sentinels';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { signUpsThrough } from './sign-ups';

/** See the table in lib/cluster/compatibility.md: a master that sentinels watch. */
describe('a Redis that sentinels watch', () => {
  const deployment = useDeployment();
  let watched: WatchedRedis;
  afterEach(() => watched.remove());

  const isMaster = async (index: 0 | 1) =>
    String(await tell(watched.servers[index], ['INFO', 'replication'])).includes('role:master');

  it('is followed to the new master when the old one is frozen and later resumes, with sentinels that require a password, of which one does not answer', async () => {
    watched = await WatchedRedis.start('guarded');
    const { servers, sentinels } = watched;
    const tree = await deployment.start({ env: { REDIS_URL: watched.url() } });
    const connections = async () =>
      String(await tell(servers[1], ['CLIENT', 'LIST', 'TYPE', 'PUBSUB']))
        .split('\n')
        .filter(Boolean).length;
    await signUpsThrough(deployment, tree, async (stream) => {
      sentinels[0].pause();
      servers[0].pause();
      await until('the replica is promoted', () => isMaster(1));
      // Some connections belong to the sentinels, the others to us.
      const before = await connections();
      await until('the subscriptions have moved', async () => (await connections()) > before);
      await until('it is ready', async () => (await tree.request('GET', '/ready')).status === 200);
      await stream.more(10);
      servers[0].resume();
      await until('the old master is a replica', async () => !(await isMaster(0)));
    });
    assert.ok(Number(await tell(servers[1], ['DBSIZE'])) > 0, 'the new master is written to');
  });

  it('prevents the start under a name that no sentinel knows, and is waited for while no sentinel answers', async () => {
    watched = await WatchedRedis.start();
    const refused = deployment.spawn({ env: { REDIS_URL: watched.url('shops') } });
    const { text } = await refused.waitForLine(/^Catamount cannot start: Redis at /);
    assert.match(text, /the sentinels at 127\.0\.0\.1:.* watch no master called shops\. Set the name /);
    assert.equal((await refused.exited).code, 78);

    await Promise.all(watched.sentinels.map((sentinel) => sentinel.kill()));
    const tree = await deployment.start({ env: { REDIS_URL: watched.url() } });
    await tree.waitForLine(/Redis is not reachable: no sentinel answers/);
    const { status } = await tree.request('POST', '/users', { json: { email: 'early@example.com', name: 'Early' } });
    assert.equal(status, 201);
    await Promise.all(watched.sentinels.map((sentinel) => sentinel.start()));
    await signUpsThrough(deployment, tree, (stream) => stream.more(1));
  });
});
