import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { MAX_TRIES, PAUSE_SECONDS, SignInThrottle } from '../../../lib/ops/auth/sign-in-throttle';
import { Deadline } from '../../../lib/support/async';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';
import { cookiesOf, OpsWeb, SIGNED, tokenIn } from '../ops-web';

const PRODUCTION = { NODE_ENV: 'production', APP_URL: 'http://127.0.0.1' };

describe('guessing the password of the pages', () => {
  it("is not helped by signing in as a viewer; only an operator's sign-in resets the tries", async () => {
    const ops = await OpsWeb.start({ ...PRODUCTION, ...SIGNED });
    const signIn = async (password: string) => {
      const page = await ops.get('/ops/sign-in');
      const fields = { name: SIGNED.OPS_USER, password, token: tokenIn(page.body) };
      return (await ops.post('/ops/sign-in', fields, { Cookie: cookiesOf(page) })).status;
    };
    try {
      for (let n = 1; n < MAX_TRIES; n++) assert.equal(await signIn(`slip ${n}`), 401);
      assert.equal(await signIn(SIGNED.OPS_PASSWORD), 303);
      for (let n = 1; n < MAX_TRIES; n++) assert.equal(await signIn(`guess ${n}`), 401);
      // Signing in as a viewer costs no try either, however often.
      for (let n = 0; n < MAX_TRIES; n++) assert.equal(await signIn(SIGNED.OPS_VIEWER_PASSWORD), 303);
      assert.equal(await signIn('the fifth guess'), 429);
      assert.equal(await signIn(SIGNED.OPS_VIEWER_PASSWORD), 429);
      assert.equal(await signIn(SIGNED.OPS_PASSWORD), 429);
    } finally {
      await ops.stop();
    }
  });
});

describe('guessing the password from many addresses', () => {
  let server: TestRedis;
  let redis: Redis;
  beforeEach(async () => {
    server = await startTestRedis();
    redis = new Redis(server.url, new Events());
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
  });
  afterEach(async () => {
    await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
    await server?.remove();
  });

  for (const where of ['in Redis', 'in memory']) {
    it(`is slowed down for all of them together, but not for an address that has signed in before (counted ${where})`, async () => {
      let now = 1_800_000_000_000;
      const away = new Redis('redis://127.0.0.1:1', new Events());
      const tries = new SignInThrottle(where === 'in Redis' ? redis : away, () => now);
      await tries.count('192.0.2.7');
      await tries.forget('192.0.2.7');
      let looked = 0;
      let longest = 0;
      let shed = 0;
      const guess = async (n: number) => {
        const { allowed, delayMs, waitSeconds } = await tries.count(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
        longest = Math.max(longest, delayMs);
        if (allowed) looked++;
        else shed++;
        if (!allowed) assert.ok(waitSeconds < PAUSE_SECONDS, 'no address is locked out because of others');
      };
      for (let n = 0; n < 1000; n++) await guess(n);
      assert.ok(looked < 100, `${looked} of 1,000 guesses were checked`);
      assert.ok(shed > 900 && longest >= 5000 && longest <= 10_000, `${shed}, ${longest} ms`);
      const known = await tries.count('192.0.2.7');
      assert.deepEqual([known.allowed, known.delayMs, known.left], [true, 0, MAX_TRIES - 1]);
      // A minute later a few dozen tries pass again, also from new addresses.
      looked = 0;
      now += 60_000;
      // Redis has its own clock.
      if (where === 'in Redis') await redis.client.decrBy('catamount:ops:pace', 60_000);
      const newcomer = await tries.count('198.51.100.1');
      assert.equal(newcomer.allowed, true);
      for (let n = 0; n < 1000; n++) await guess(100_000 + n);
      assert.ok(looked < 100, `${looked} of 1,000 guesses were checked`);
    });

    it(`costs no try where a viewer gives the right password, however often (counted ${where})`, async () => {
      const tries = new SignInThrottle(where === 'in Redis' ? redis : new Redis('redis://127.0.0.1:1', new Events()));
      for (let n = 0; n < MAX_TRIES; n++) {
        await tries.count('192.0.2.9');
        await tries.takeBack('192.0.2.9');
      }
      assert.equal((await tries.count('192.0.2.9')).left, MAX_TRIES - 1);
    });

    it(`makes an address pause from its last try on (counted ${where})`, async () => {
      let now = 1_800_000_000_000;
      const away = new Redis('redis://127.0.0.1:1', new Events());
      const tries = new SignInThrottle(where === 'in Redis' ? redis : away, () => now);
      for (let n = 1; n < MAX_TRIES; n++) await tries.count('192.0.2.8');
      now += (PAUSE_SECONDS - 60) * 1000;
      if (where === 'in Redis') await redis.client.expire('catamount:ops:tries:192.0.2.8', 60);
      const { allowed, left, waitSeconds } = await tries.count('192.0.2.8');
      assert.deepEqual([allowed, left, waitSeconds > PAUSE_SECONDS - 30], [true, 0, true], `${waitSeconds} s`);
    });
  }
});
