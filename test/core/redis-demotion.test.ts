import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { HintReader } from '../../lib/job/hint/hint-reader';
import { queueKey } from '../../lib/job/hint/keys';
import { Deadline } from '../../lib/support/deadline';
import { ReplicatedRedis, tell } from '../support/replicated-redis';
import { inTest } from '../support/suite';
import { until } from '../support/until';

describe('a Redis that becomes a read-only replica', () => {
  const pair = inTest('remove', () => ReplicatedRedis.start());

  it('is reported once as lost, fails pings, and is left for the master to which the host name then points', async () => {
    const events = new Events();
    const lost: string[] = [];
    let ready = 0;
    events.on('redis.lost', ({ error }) => lost.push(error.message));
    events.on('redis.ready', () => ready++);
    const redis = new Redis(pair.url, events);
    await redis.start();
    await until('Redis is connected', () => ready === 1);
    try {
      await pair.demote();
      await assert.rejects(redis.client.set('catamount:key', 'old'), /READONLY/);
      await assert.rejects(redis.ping(), /READONLY/);
      // It reconnects to the replica several times, and does not become ready.
      const connected = async () => {
        const stats = String(await tell(pair.servers[0], ['INFO', 'commandstats']));
        return Number(/cmdstat_hello:calls=(\d+)/.exec(stats)?.[1] ?? 0);
      };
      // Each reading of the statistics connects once, too.
      const before = await connected();
      let looks = 0;
      const refusals = new Set<string>();
      await until('there were three more connections', async () => {
        await redis.client.set('catamount:key', 'old').catch((error: Error) => refusals.add(error.message));
        return (await connected()) - before - ++looks >= 3;
      });
      assert.deepEqual(
        [...refusals].filter((message) => !message.startsWith('READONLY')),
        [],
      );
      assert.deepEqual([lost.length, ready], [1, 1]);
      pair.rename();
      await until('Redis is connected again', () => ready === 2);
      await redis.client.set('catamount:key', 'new');
      await redis.ping();
      assert.equal(await tell(pair.servers[1], ['GET', 'catamount:key']), 'new');
      assert.match(lost.join(), /^READONLY/);
    } finally {
      await redis.stop(Deadline.after(1000));
    }
  });

  it('is left by the connection that waits for hints, which then gets those of the new master', async () => {
    const redis = new Redis(pair.url, new Events());
    await redis.start();
    const reader = new HintReader(redis.client, pair.url, ['default']);
    await reader.start();
    try {
      const found: string[] = [];
      const wait = () =>
        reader.wait([0], false, () => {
          const hint = reader.unused();
          if (hint) found.push(hint.id);
        });
      const blocked = async (server: 0 | 1) =>
        Number(/^blocked_clients:(\d+)/m.exec(String(await tell(pair.servers[server], ['INFO', 'clients'])))?.[1]);
      await until('it waits at the first server', async () => {
        wait();
        return (await blocked(0)) === 1;
      });
      await pair.demote();
      pair.rename();
      await until('it waits at the second server', async () => {
        wait();
        return (await blocked(1)) === 1;
      });
      const id = '00000000-0000-4000-8000-000000000001';
      await tell(pair.servers[1], ['LPUSH', queueKey('default', 'waiting'), id]);
      await until('it has the hint', () => found.length > 0);
      assert.deepEqual(found, [id]);
    } finally {
      await reader.stop(Deadline.after(1000));
      await redis.stop(Deadline.after(1000));
    }
  });
});
