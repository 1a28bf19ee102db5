import assert from 'node:assert/strict';
import { readSettings } from '../../lib/core/settings';
import { RateLimits } from '../../lib/web/rate-limit';
import { startTestRedis, type TestRedis } from '../support/redis';
import { until } from '../support/until';
import { RunningApp, type RunningOptions } from './running-app';

describe('the limit on sign-ups', () => {
  let app: RunningApp;
  let redis: TestRedis;
  beforeEach(async () => {
    redis = await startTestRedis();
  });
  afterEach(async () => {
    await app?.stop();
    await redis.remove();
  });

  const start = async (env: RunningOptions['env'], redisUrl = redis.url) => {
    app = await RunningApp.start({ redisUrl, env: { TRUST_PROXY: '1', ...env } });
  };
  const signUp = (email: string, ip: string) => app.signUp({ email }, { 'X-Forwarded-For': ip });
  const statuses = async (people: readonly (readonly [email: string, ip: string])[]) => {
    const found: number[] = [];
    for (const [email, ip] of people) found.push((await signUp(email, ip)).status);
    return found;
  };

  it('by default stops a flood from one address, along with its mails', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '', SIGN_UPS_PER_DOMAIN: '', SIGN_UPS_PER_MAILBOX: '' });
    const flood = Array.from({ length: 100 }, (_, n) => signUp(`victim${n}@host${n}.example`, '192.0.2.1'));
    const answers = await Promise.all(flood);
    assert.equal(answers.filter(({ status }) => status === 201).length, 60);
    assert.equal(answers.filter(({ status }) => status === 429).length, 40);
    assert.equal((await app.jobs()).length, 60);
    assert.equal((await signUp('ada@example.com', '192.0.2.2')).status, 201);
  });

  it('says when to try again, in a problem document or, to a browser, on a page', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '1/10m', SIGN_UPS_PER_MAILBOX: '1/10m', SIGN_UPS_PER_DOMAIN: '2/60' });
    await signUp('ada@example.com', '192.0.2.1');
    const { status, headers, json } = await signUp('bob@example.com', '192.0.2.1');
    assert.deepEqual([status, headers['content-type']], [429, 'application/problem+json; charset=utf-8']);
    assert.ok(Number(headers['retry-after']) > 590 && Number(headers['retry-after']) <= 600);
    assert.match(String(json.detail), /too many sign-ups .*Try again in 10 minutes\./);
    for (const [language, words] of [
      ['en', /Try again in 10 minutes\./],
      ['ko', /몇 분 뒤에 다시 시도해 주세요/],
    ] as const) {
      const page = await app.signUp(
        { email: 'bob@example.com' },
        { 'X-Forwarded-For': '192.0.2.1', Accept: 'text/html,*/*;q=0.8', 'Accept-Language': language },
      );
      assert.deepEqual([page.status, page.headers['content-type']], [429, 'text/html; charset=utf-8']);
      assert.ok(Number(page.headers['retry-after']) > 590);
      assert.match(page.text, words);
      assert.doesNotMatch(page.text, /<script|\sstyle=/);
    }
    assert.equal((await signUp('bob@example.com', '192.0.2.2')).status, 201, 'his mailbox was not counted');
    assert.match(String((await signUp('eve@example.com', '192.0.2.3')).json.detail), /Try again in a minute\./);
  });

  it('is counted by network, by mailbox and by mail domain', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '3/1h', SIGN_UPS_PER_MAILBOX: '2/1h', SIGN_UPS_PER_DOMAIN: '4/1h' });
    const network = Array.from({ length: 4 }, (_, n) => [`a${n}@a.example`, `2001:db8::${n + 1}`] as const);
    assert.deepEqual(await statuses(network), [201, 201, 201, 429], 'one subscriber has a /64');
    const tags = ['ada', 'Ada+1', 'ADA+2', 'ada+3'].map((name, n) => [`${name}@b.example`, `198.51.100.${n}`] as const);
    assert.deepEqual(await statuses(tags), [201, 201, 429, 429], 'an address with a + tag is the same mailbox');
    const domain = Array.from(
      { length: 5 },
      (_, n) => [`c${n}@${n % 2 ? 'c' : 'C'}.example`, `203.0.113.${n}`] as const,
    );
    assert.deepEqual(await statuses(domain), [201, 201, 201, 201, 429]);
    assert.equal((await signUp('d@d.example', '203.0.113.4')).status, 201, 'other domains are not affected');
  });

  it('is not used up for others by rejected sign-ups', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '2/1h', SIGN_UPS_PER_DOMAIN: '4/1h' });
    for (let n = 0; n < 20; n++) await signUp(`flood${n}@example.com`, '192.0.2.1');
    assert.deepEqual(
      await statuses([
        ['ada@example.com', '192.0.2.2'],
        ['bob@example.com', '192.0.2.3'],
      ]),
      [201, 201],
    );
  });

  it('counts a taken address, but neither invalid input nor failures of the server', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '3/1h', SIGN_UPS_PER_MAILBOX: '3/1h', SIGN_UPS_PER_DOMAIN: '3/1h' });
    const ip = '2001:db8::1';
    const asked = (...names: string[]) => statuses(names.map((name) => [`${name}@example.com`, ip]));
    for (let n = 0; n < 10; n++) assert.equal((await signUp('no address', ip)).status, 422);
    assert.deepEqual(await asked('ada', 'ada'), [201, 422]);
    await app.database.query('alter table job_queue rename to away');
    // Each of these is the last that is allowed, until it is uncounted.
    for (let n = 0; n < 10; n++) assert.deepEqual(await asked('bob'), [500]);
    await app.database.query('alter table away rename to job_queue');
    assert.deepEqual(await asked('bob', 'eve'), [201, 429]);
  });

  it('survives a restart, is shared by all processes, and stores no addresses in Redis', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '2/1h' });
    const people = [1, 2].map((n) => [`ada${n}@example.com`, '192.0.2.77'] as const);
    assert.deepEqual(await statuses(people), [201, 201]);
    await app.stop();
    await start({ SIGN_UPS_PER_ADDRESS: '2/1h' });
    assert.equal((await signUp('ada3@example.com', '192.0.2.77')).status, 429);
    const keys = await app.redis.client.keys('*');
    assert.ok(keys.length > 0);
    assert.doesNotMatch(keys.join(), /ada|example|192\.0/);
    for (const key of keys.filter((name) => !name.startsWith('bq:')))
      assert.ok((await app.redis.client.ttl(key)) > 0, key);
  });

  it('applies per process while Redis is unavailable, without waiting for it', async () => {
    await start({ SIGN_UPS_PER_ADDRESS: '3/1h' });
    await redis.stop();
    await until('the connection to Redis is lost', () => !app.redis.client.isReady);
    const people = [1, 2, 3, 4].map((n) => [`ada${n}@example.com`, '192.0.2.1'] as const);
    assert.deepEqual(await statuses(people), [201, 201, 201, 429]);
    // Once Redis is back it is used again, although it has none of these counts.
    await redis.start();
    await until('Redis is back', () => app.redis.client.isReady);
    await until('sign-ups are counted in Redis', async () => {
      await signUp(`later${Math.random().toString(36).slice(2)}@example.com`, '192.0.2.9');
      return (await app.redis.client.keys('catamount:limit:*')).length > 0;
    });
  });

  it('sends only one command to a Redis that does not reply, then does without it', async () => {
    await start({});
    // A frozen Redis keeps the connection open, but does not reply.
    redis.pause();
    try {
      const limit = new RateLimits('shop', app.redis.client).limit('pages', { count: 2, seconds: 60 });
      const found: number[] = [];
      for (let n = 0; n < 4; n++) found.push(await limit.take('ada'));
      assert.deepEqual(
        found.map((seconds) => seconds > 0),
        [false, false, true, true],
      );
      assert.equal((await signUp('ada@example.com', '192.0.2.1')).status, 201);
    } finally {
      redis.resume();
    }
    const key = await until('it has carried out the command', async () => {
      return (await app.redis.client.keys('catamount:limit:shop:pages:*'))[0];
    });
    assert.equal(await app.redis.client.get(key), '1');
  });

  it('asks Redis no more about somebody who is over it, until an attempt is given back', async () => {
    await start({});
    const limit = new RateLimits('shop', app.redis.client).limit('pages', { count: 1, seconds: 60 });
    const counted = async () => {
      const [key = ''] = await app.redis.client.keys('catamount:limit:shop:pages:*');
      return app.redis.client.get(key);
    };
    for (let n = 0; n < 5; n++) assert.equal((await limit.take('ada')) > 0, n > 0);
    assert.equal(await counted(), '2');
    for (let n = 0; n < 2; n++) await limit.giveBack('ada');
    assert.deepEqual([await counted(), await limit.take('ada')], ['0', 0]);
  });

  it('is shared again once Redis has replied, late, that somebody has reached it', async () => {
    await start({});
    const limit = new RateLimits('shop', app.redis.client).limit('pages', { count: 1, seconds: 60 });
    assert.equal(await limit.take('ada'), 0);
    redis.pause();
    try {
      assert.equal(await limit.take('ada'), 0, 'it is counted by this process alone');
    } finally {
      redis.resume();
    }
    const counted = async () => (await app.redis.client.keys('catamount:limit:shop:pages:*')).length;
    await until('others are counted in Redis', async () => {
      await limit.take(String(Math.random()));
      return (await counted()) > 1;
    });
  });
});

describe('the settings for sign-ups', () => {
  const read = (env: Readonly<Record<string, string>>) => readSettings({ env, cwd: '/srv/shop' }).signUps;

  it('are generous by default', () => {
    assert.deepEqual(read({}), {
      perAddress: { count: 60, seconds: 3600 },
      perDomain: { count: 600, seconds: 3600 },
      perMailbox: { count: 5, seconds: 86_400 },
    });
  });

  it('are a number per period, or off', () => {
    assert.deepEqual(read({ SIGN_UPS_PER_ADDRESS: '7/30s' }).perAddress, { count: 7, seconds: 30 });
    assert.deepEqual(read({ SIGN_UPS_PER_ADDRESS: '7 / 90' }).perAddress, { count: 7, seconds: 90 });
    assert.equal(read({ SIGN_UPS_PER_DOMAIN: 'off' }).perDomain, null);
    for (const wrong of ['60', '0/1h', '-1/1h', '60/', '60/2d', '60/500ms', '1.5/1h', '60/1h/1h', 'no', '/1h'])
      assert.throws(
        () => read({ SIGN_UPS_PER_MAILBOX: wrong }),
        /SIGN_UPS_PER_MAILBOX.*a number per time, such as 60\/1h/,
        wrong,
      );
  });
});
