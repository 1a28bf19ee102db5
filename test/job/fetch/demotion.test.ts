import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Consumer, leaveWhenSilent } from '../../../lib/job/fetch/consumer';
import { ClassLimits } from '../../../lib/job/fetch/fetch-call';
import { Deadline } from '../../../lib/support/async';
import { ReplicatedRedis, tell } from '../../support/replicated-redis';
import { until } from '../../support/until';

const PATIENCE_MS = 500;
/** Half of the time that a connection waits for jobs before it suspects a silent Redis. */
const MOST_MS = 37_000;

describe('a Redis that becomes a read-only replica', () => {
  let pair: ReplicatedRedis;
  beforeEach(async () => {
    pair = await ReplicatedRedis.start();
  });
  afterEach(() => pair.remove());

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

  it('is left by every connection of a processor, including the shared one, which writes nothing', async () => {
    await processing(async (at) => {
      await until('three connections to the first server', async () => (await at(0)) === 3);
      await pair.demote();
      pair.rename();
      await until('three connections to the second server', async () => (await at(1)) === 3);
    });
  });

  it('is left by every connection when it is frozen, including those that wait for jobs', async () => {
    await processing(async (at) => {
      await until('three connections to the first server', async () => (await at(0)) === 3);
      const [first, second] = pair.servers;
      first.pause();
      await tell(second, ['REPLICAOF', 'NO', 'ONE']);
      pair.rename();
      const before = performance.now();
      await until('three connections to the second server', async () => (await at(1)) === 3);
      const ms = performance.now() - before;
      assert.ok(ms < MOST_MS, `after ${ms} ms`);
    });
  });

  /** @param work receives a function that counts the connections to one of the two servers. */
  async function processing(work: (at: (server: 0 | 1) => Promise<number>) => Promise<void>): Promise<void> {
    const redis = new Redis(pair.url, new Events());
    leaveWhenSilent(redis, PATIENCE_MS);
    await redis.start();
    const consumer = new Consumer({
      redisUrl: pair.url,
      redis,
      queues: [{ name: 'default', weight: 1 }],
      weighted: false,
      budget: 1,
      limits: new ClassLimits(),
      stallInterval: 30_000,
      pollMs: 50,
      patienceMs: PATIENCE_MS,
      handler: () => assert.fail('there is no job'),
      onStalled: () => undefined,
      onError: () => undefined,
    });
    const at = async (server: 0 | 1) =>
      String(await tell(pair.servers[server], ['CLIENT', 'LIST']))
        .split('\n')
        .filter((line) => / flags=[NPb]+ /.test(line) && !line.includes('cmd=client')).length;
    await consumer.start();
    try {
      await work(at);
    } finally {
      consumer.close();
      await redis.stop(Deadline.after(1000));
    }
  }
});
