import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { RedisRoad } from '../../../lib/job/enqueue/redis-road';
import type { EnqueueRequest } from '../../../lib/job/enqueue/request';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/deadline';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';

class AnyJob extends Job {
  perform(): void {}
}

const request = (queue = 'default'): EnqueueRequest => ({
  id: randomUUID(),
  jobClass: AnyJob,
  name: 'AnyJob',
  queue,
  args: [],
  context: {},
  tags: [],
  durable: false,
  runAt: undefined,
  trx: undefined,
  unique: undefined,
});

describe('the road to Redis', () => {
  let server: TestRedis;
  let redis: Redis;
  beforeEach(async () => {
    server = await startTestRedis();
    redis = new Redis(server.url, new Events());
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
  });
  afterEach(async () => {
    await redis.stop(Deadline.after(30_000));
    await server.remove();
  });

  it('takes what is enqueued at one time in one call, in its order', async () => {
    const road = new RedisRoad(redis.client);
    await road.send([request()]);
    await redis.client.flushAll();
    await redis.client.configResetStat();
    const loads = Array.from({ length: 50 }, () => [request(), request('mailer')]);
    const sent = await Promise.all(loads.map((load) => road.send(load)));
    assert.deepEqual(sent, Array(50).fill({ sent: 2 }));
    assert.match(await redis.client.info('commandstats'), /cmdstat_evalsha:calls=1,/);
    const waiting = await redis.client.lRange('bq:mailer:waiting', 0, -1);
    assert.deepEqual(
      waiting.reverse(),
      loads.map(([, mail]) => mail?.id),
    );
  });

  it('tells each of those who shared it what became of theirs', async () => {
    const road = new RedisRoad(redis.client);
    const loads = [1, 1500, 700, 2].map((count) => Array.from({ length: count }, () => request()));
    const sent = await Promise.all(loads.map((load) => road.send(load)));
    assert.deepEqual(
      sent,
      loads.map(({ length }) => ({ sent: length })),
    );
    assert.equal(await redis.client.lLen('bq:default:waiting'), 2203);
    await server.stop();
    await until('the loss is known', () => !redis.client.isReady);
    for (const { sent: none, refusal } of await Promise.all(loads.map((load) => road.send(load)))) {
      assert.equal(none, 0);
      assert.ok(refusal);
    }
  });
});
