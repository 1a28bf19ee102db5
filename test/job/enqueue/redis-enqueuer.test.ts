import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import type { EnqueueRequest } from '../../../lib/job/definition/job-class';
import { RedisEnqueuer } from '../../../lib/job/enqueue/redis-enqueuer';

import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/async';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';

class AnyJob extends Job {
  perform(): void {}
}

/** A limit that is never reached, however busy the machine. */
const PATIENT = { limitMs: 60_000 };

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

describe('the Redis enqueuer', () => {
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

  it('sends everything that is enqueued in one turn in one call, in order', async () => {
    const enqueuer = new RedisEnqueuer(redis.client, PATIENT);
    await enqueuer.send([request()]);
    await redis.client.flushAll();
    await redis.client.configResetStat();
    const loads = Array.from({ length: 50 }, () => [request(), request('mailer')]);
    const sent = await Promise.all(loads.map((load) => enqueuer.send(load)));
    assert.deepEqual(sent, Array(50).fill({ sent: 2 }));
    assert.match(await redis.client.info('commandstats'), /cmdstat_evalsha:calls=1,/);
    const waiting = await redis.client.lRange('bq:mailer:waiting', 0, -1);
    assert.deepEqual(
      waiting.reverse(),
      loads.map(([, mail]) => mail?.id),
    );
  });

  it('tells each caller of a shared call what became of its jobs', async () => {
    const enqueuer = new RedisEnqueuer(redis.client, PATIENT);
    await redis.client.scriptFlush();
    const loads = [1, 1500, 700, 2].map((count) => Array.from({ length: count }, () => request()));
    const sent = await Promise.all(loads.map((load) => enqueuer.send(load)));
    assert.deepEqual(
      sent,
      loads.map(({ length }) => ({ sent: length })),
    );
    assert.equal(await redis.client.lLen('bq:default:waiting'), 2203);
    await server.stop();
    await until('the loss is known', () => !redis.client.isReady);
    for (const { sent: none, refusal } of await Promise.all(loads.map((load) => enqueuer.send(load)))) {
      assert.equal(none, 0);
      assert.ok(refusal);
    }
  });

  /** Runs `work` with a clock that is wrong by `ms`. */
  const withClockOff = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
    const { now } = Date;
    Date.now = () => now() + ms;
    try {
      return await work();
    } finally {
      Date.now = now;
    }
  };

  it('has Redis refuse a call that arrives so late that the job may have run from the outbox', async () => {
    const enqueuer = new RedisEnqueuer(redis.client, PATIENT);
    const late = await withClockOff(-600_000, () => enqueuer.send([request()]));
    assert.equal(late.sent, 0);
    assert.ok(late.refusal);
    const inTime = await withClockOff(-60_000, () => enqueuer.send([request()]));
    assert.deepEqual(inTime, { sent: 1 });
    assert.equal(await redis.client.lLen('bq:default:waiting'), 1);
  });

  it('gives up a whole bulk when Redis does not answer in time, and refuses what follows soon after', async () => {
    await new RedisEnqueuer(redis.client, PATIENT).send([request()]);
    const enqueuer = new RedisEnqueuer(redis.client, { limitMs: 50, avoidMs: 3_600_000 });
    server.pause();
    const loads = [Array.from({ length: 1500 }, () => request()), [request()]];
    for (const load of loads) {
      const { sent, refusal } = await enqueuer.send(load);
      assert.equal(sent, 0);
      assert.match(String(refusal), /did not answer/);
    }
    server.resume();
    await until('Redis has run the first call', async () => (await redis.client.lLen('bq:default:waiting')) > 1);
    assert.equal(await redis.client.lLen('bq:default:waiting'), 1 + 1000);
  });

  it('avoids Redis after a time-out, even if the timer fires a fraction of a millisecond early', async () => {
    await new RedisEnqueuer(redis.client, PATIENT).send([request()]);
    server.pause();
    for (let round = 0; round < 40; round++) {
      const enqueuer = new RedisEnqueuer(redis.client, { limitMs: 5, avoidMs: 3_600_000 });
      await enqueuer.send([request()]);
      assert.match(String((await enqueuer.send([request()])).refusal), /did not answer a moment ago/);
    }
    server.resume();
  });

  it('uses Redis again soon, even if the clock was set back by an hour after a time-out', async () => {
    const enqueuer = new RedisEnqueuer(redis.client, { limitMs: 500, avoidMs: 0 });
    server.pause();
    await withClockOff(3_600_000, () => enqueuer.send([request()]));
    server.resume();
    let isTaken = false;
    // On a busy machine a reply may be late.
    for (let tries = 0; tries < 50 && !isTaken; tries++) isTaken = (await enqueuer.send([request()])).sent === 1;
    assert.ok(isTaken);
  });
});
