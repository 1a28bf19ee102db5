import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { RedisScript } from '../../lib/core/redis-script';
import { Deadline } from '../../lib/support/deadline';

describe('a Redis that is off', () => {
  it('never connects, tells nobody of a loss, and rejects every command at once', async () => {
    const events = new Events();
    const heard: string[] = [];
    events.onAny((name) => heard.push(name));
    const redis = new Redis(null, events);
    assert.equal(redis.isOff, true);
    await redis.start();
    const isListening = redis.listen('news', assert.fail, assert.fail);
    const begun = performance.now();
    await redis.firstAttempt(60_000);
    for (const answer of [
      redis.ping(),
      redis.client.get('key'),
      redis.publish('news', 'hello'),
      new RedisScript('return 1').run(redis.client, [], []),
    ])
      await assert.rejects(answer, { name: 'NoConnectionError', message: 'Redis is off', code: 'REDIS_OFF' });
    assert.ok(performance.now() - begun < 5000);
    assert.deepEqual([redis.client.isOpen, redis.client.isReady, isListening()], [false, false, false]);
    await redis.stop(Deadline.after(1000));
    assert.deepEqual(heard, []);
  });
});
