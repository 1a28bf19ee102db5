import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Consumer, leaveWhenSilent } from '../../../lib/job/fetch/consumer';
import { ClassLimits } from '../../../lib/job/fetch/fetch-call';
import { Deadline } from '../../../lib/support/async';
import { ReplicatedRedis, tell } from '../../support/replicated-redis';
import { until } from '../../support/until';

const PATIENCE_MS = 500;
/** Half of the time for which a connection that waits for jobs is patient. */
const MOST_MS = 37_000;

describe('a Redis that is made a read-only replica', () => {
  let pair: ReplicatedRedis;
  beforeEach(async () => {
    pair = await ReplicatedRedis.start();
  });
  afterEach(() => pair.remove());

  it('is told once as lost, answers no ping, and is left for the master that the name leads to', async () => {
    const events = new Events();
    const lost: string[] = [];
    let ready = 0;
    events.on('redis.lost', ({ error }) => lost.push(error.message));
    events.on('redis.ready', () => ready++);
    const redis = new Redis(pair.url, events);
    await redis.start();
    await until('it is connected', () => ready === 1);
    try {
      await pair.demote();
      await assert.rejects(redis.client.set('catamount:key', 'old'), /READONLY/);
      await assert.rejects(redis.ping(), /READONLY/);
      // It connects to the replica some times more, and is not ready.
      const connected = async () => {
        const stats = String(await tell(pair.servers[0], ['INFO', 'commandstats']));
        return Number(/cmdstat_hello:calls=(\d+)/.exec(stats)?.[1] ?? 0);
      };
      // Each look connects once, too.
      const before = await connected();
      let looks = 0;
      await until('it has connected three times more', async () => (await connected()) - before - ++looks >= 3);
      assert.deepEqual([lost.length, ready], [1, 1]);
      pair.rename();
      await until('it is connected again', () => ready === 2);
      await redis.client.set('catamount:key', 'new');
      await redis.ping();
      assert.equal(await tell(pair.servers[1], ['GET', 'catamount:key']), 'new');
      assert.match(lost.join(), /^READONLY/);
    } finally {
      await redis.stop(Deadline.after(1000));
    }
  });

  it('is left by every connection of a processor, the one that it shares and that writes nothing, too', async () => {
    await processing(async (at) => {
      await until('three connections are at the first', async () => (await at(0)) === 3);
      await pair.demote();
      pair.rename();
      await until('all three are at the second', async () => (await at(1)) === 3);
    });
  });

  it('is left likewise when it is frozen, by those that wait for jobs, too, which would be patient for a minute', async () => {
    await processing(async (at) => {
      await until('three connections are at the first', async () => (await at(0)) === 3);
      const [first, second] = pair.servers;
      first.pause();
      await tell(second, ['REPLICAOF', 'NO', 'ONE']);
      pair.rename();
      const before = performance.now();
      await until('all three are at the second', async () => (await at(1)) === 3);
      const ms = performance.now() - before;
      assert.ok(ms < MOST_MS, `after ${ms} ms`);
    });
  });

  /** @param work is given a function that counts the connections at one of the two. */
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
