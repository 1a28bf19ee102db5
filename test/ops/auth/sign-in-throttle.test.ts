import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { MAX_TRIES, PAUSE_SECONDS, SignInThrottle } from '../../../lib/ops/auth/sign-in-throttle';
import { Deadline } from '../../../lib/support/async';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';

const ADDRESS = '192.0.2.7';

// Tries are counted in Redis, or in each process while Redis is unavailable.
for (const where of ['in Redis', 'in memory'] as const)
  describe(`wrong passwords that are counted ${where}`, () => {
    let server: TestRedis;
    let redis: Redis;
    let now: number;
    let tries: SignInThrottle;
    before(async () => {
      server = await startTestRedis();
      redis = new Redis(server.url, new Events());
      await redis.start();
      await until('Redis is connected', () => redis.client.isReady);
    });
    beforeEach(async () => {
      await redis.client.flushAll();
      now = 1_800_000_000_000;
      tries = new SignInThrottle(
        where === 'in Redis' ? redis : new Redis('redis://127.0.0.1:1', new Events()),
        () => now,
      );
    });
    after(async () => {
      await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
      await server?.remove();
    });

    /** Lets time pass. Redis has its own clock, so what is left is shortened there. */
    const pass = async (seconds: number) => {
      now += seconds * 1000;
      if (where === 'in memory') return;
      const key = `catamount:ops:tries:${ADDRESS}`;
      const left = await redis.client.ttl(key);
      if (left > 0) await redis.client.expire(key, left - seconds);
      if (await redis.client.exists('catamount:ops:pace'))
        await redis.client.decrBy('catamount:ops:pace', seconds * 1000);
    };

    it('make an address pause from its last try on, which more tries do not extend', async () => {
      for (let left = MAX_TRIES - 1; left > 0; left--) {
        const { allowed, left: found } = await tries.count(ADDRESS);
        assert.deepEqual([allowed, found], [true, left]);
      }
      await pass(PAUSE_SECONDS - 60);
      const last = await tries.count(ADDRESS);
      assert.deepEqual([last.allowed, last.left, last.waitSeconds > PAUSE_SECONDS - 30], [true, 0, true]);
      await pass(PAUSE_SECONDS - 300);
      for (let n = 0; n < 3; n++) {
        const { allowed, waitSeconds } = await tries.count(ADDRESS);
        assert.equal(allowed, false);
        assert.ok(waitSeconds > 0 && waitSeconds <= 300, `${waitSeconds} s`);
      }
      await pass(300);
      assert.equal((await tries.count(ADDRESS)).allowed, true);
    });

    it('slow down all addresses together, but not one that has signed in before', async () => {
      await tries.count(ADDRESS);
      await tries.forget(ADDRESS);
      let longest = 0;
      /** @returns how many of a thousand guesses from as many addresses are checked. */
      const guess = async (network: number) => {
        let checked = 0;
        for (let n = 0; n < 1000; n++) {
          const { allowed, delayMs, waitSeconds } = await tries.count(`10.${network}.${n >> 8}.${n & 255}`);
          longest = Math.max(longest, delayMs);
          if (allowed) checked++;
          else assert.ok(waitSeconds < PAUSE_SECONDS, 'no address is locked out because of others');
        }
        return checked;
      };
      assert.ok((await guess(0)) < 100);
      assert.ok(longest >= 5000 && longest <= 10_000, `${longest} ms`);
      const known = await tries.count(ADDRESS);
      assert.deepEqual([known.allowed, known.delayMs, known.left], [true, 0, MAX_TRIES - 1]);
      // A minute later a few dozen tries pass again, also from new addresses.
      await pass(60);
      assert.equal((await tries.count('198.51.100.1')).allowed, true);
      assert.ok((await guess(1)) < 100);
    });

    it('are none where a viewer gives the right password, however often', async () => {
      for (let n = 0; n < MAX_TRIES; n++) {
        await tries.count(ADDRESS);
        await tries.takeBack(ADDRESS);
      }
      assert.equal((await tries.count(ADDRESS)).left, MAX_TRIES - 1);
    });
  });
