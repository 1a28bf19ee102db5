import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { MAX_TRIES, PAUSE_SECONDS, SignInThrottle } from '../../../lib/ops/auth/sign-in-throttle';
import { useRedis, useRedisServer } from '../../support/stores';

const ADDRESS = '192.0.2.7';

describe('wrong passwords', () => {
  const server = useRedisServer();
  const redis = useRedis(() => server.url);
  let tries: SignInThrottle;
  beforeEach(async () => {
    await redis.client.flushAll();
    tries = new SignInThrottle('shop', redis);
  });

  // Tries are counted in Redis, or in each process while Redis is unavailable.
  for (const where of ['in Redis', 'in memory'] as const)
    it(`counted ${where} make their address pause, which more tries do not extend`, async () => {
      if (where === 'in memory') tries = new SignInThrottle('shop', new Redis('redis://127.0.0.1:1', new Events()));
      for (let n = 0; n < MAX_TRIES; n++) assert.equal((await tries.take(ADDRESS)).waitSeconds, 0);
      for (let n = 0; n < 3; n++) {
        const { waitSeconds, busy } = await tries.take(ADDRESS);
        assert.ok(waitSeconds > PAUSE_SECONDS - 60 && waitSeconds <= PAUSE_SECONDS, `${waitSeconds} s`);
        assert.equal(busy, false);
      }
      assert.equal((await tries.take('192.0.2.8')).waitSeconds, 0, 'another address may try');
    });

  it('from one address are known to all processes', async () => {
    for (let n = 0; n < MAX_TRIES; n++) await tries.take(ADDRESS);
    assert.ok((await new SignInThrottle('shop', redis).take(ADDRESS)).waitSeconds > 0);
  });

  it('limit all addresses together, but not one that has signed in before', async () => {
    await tries.take(ADDRESS);
    await tries.forget(ADDRESS);
    const [known = ''] = await redis.client.keys('catamount:ops:known:*');
    assert.equal(Math.ceil((await redis.client.ttl(known)) / 86_400), 90, 'days');
    let checked = 0;
    const begun = performance.now();
    for (let n = 0; n < 1000; n++) {
      const { waitSeconds, busy } = await tries.take(`10.0.${n >> 8}.${n & 255}`);
      if (waitSeconds === 0) checked++;
      else assert.ok(busy && waitSeconds < PAUSE_SECONDS, 'no address is locked out because of others');
    }
    assert.ok(checked >= 9 && checked <= 10 + (performance.now() - begun) / 1000, `${checked} guesses were checked`);
    assert.equal((await tries.take(ADDRESS)).waitSeconds, 0);
    // Some seconds later some tries pass again, also from new addresses, and those that had to wait.
    await redis.client.del(await redis.client.keys('*ops-unknown*'));
    const later = new SignInThrottle('shop', redis);
    for (const address of ['198.51.100.1', '10.0.3.1']) assert.equal((await later.take(address)).waitSeconds, 0);
  });

  it('of others lock out no address that has to wait meanwhile', async () => {
    for (let n = 0; n < 100; n++) await tries.take(`10.0.0.${n}`);
    for (let n = 0; n <= MAX_TRIES; n++) assert.equal((await tries.take(ADDRESS)).busy, true);
  });

  it('are judged within seconds while Redis is frozen', async () => {
    await redis.client.ping();
    server.pause();
    try {
      const begun = performance.now();
      await tries.take(ADDRESS);
      await tries.forget(ADDRESS);
      // By itself it would be left after 10 s.
      assert.ok(performance.now() - begun < 9000, `${performance.now() - begun} ms`);
    } finally {
      server.resume();
    }
  });
});
