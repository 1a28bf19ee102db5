import assert from 'node:assert/strict';
import { createHmac, scryptSync } from 'node:crypto';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { readSettings } from '../../../lib/core/settings';
import { Database } from '../../../lib/model/database';
import { Sessions } from '../../../lib/ops/auth/sessions';
import { Deadline } from '../../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';
import { OpsWeb, SIGNED, tokenIn } from '../ops-web';

const HOST = 'shop.example';

describe('the sessions of operators', () => {
  let database: TestDatabase;
  let other: TestDatabase;
  let server: TestRedis;
  let redis: Redis;
  const away = new Redis('redis://127.0.0.1:1', new Events());
  const connections: Database[] = [];
  before(async () => {
    [database, other] = await Promise.all([createDatabase({ migrated: true }), createDatabase({ migrated: true })]);
    server = await startTestRedis();
    redis = new Redis(server.url, new Events());
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
  });
  after(async () => {
    for (const connection of connections) await connection.stop(Deadline.after(WAIT_LIMIT_MS));
    await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
    await server?.remove();
    await database?.drop();
    await other?.drop();
  });

  const sessionsOf = (url: string, env: Readonly<Record<string, string>> = {}, at = away, now = Date.now) => {
    const config = readSettings({ env: { NODE_ENV: 'test', ...SIGNED, ...env }, cwd: process.cwd() });
    const connection = new Database(url, { production: false, events: new Events() });
    connections.push(connection);
    return new Sessions({
      config: { ...config, databaseUrl: url },
      appName: 'shop',
      redis: at,
      knex: connection.knex,
      now,
    });
  };
  const signIn = async (sessions: Sessions) => (await sessions.signIn(HOST)).split(';')[0] ?? '';
  const roleAt = async (sessions: Sessions, cookie: string) => (await sessions.visitor(cookie, HOST)).role;

  it('are valid in every process with the same database and passwords, and in no other', async () => {
    const cookies = await Promise.all([signIn(sessionsOf(database.url)), signIn(sessionsOf(database.url))]);
    for (const cookie of cookies) {
      assert.equal(await roleAt(sessionsOf(database.url), cookie), 'operator');
      assert.equal(await roleAt(sessionsOf(other.url), cookie), 'guest');
      assert.equal(await roleAt(sessionsOf(database.url, { OPS_PASSWORD: 'another horse' }), cookie), 'guest');
    }
  });

  it('need the exact cookie: with anything appended it is invalid', async () => {
    const sessions = sessionsOf(database.url);
    const cookie = await signIn(sessions);
    assert.equal(await roleAt(sessions, cookie), 'operator');
    for (const more of ['.', '.x', `.${cookie}`]) assert.equal(await roleAt(sessions, cookie + more), 'guest', more);
  });

  it('last for twelve hours, whatever the browser does with the cookie', async () => {
    let now = Date.now();
    const sessions = sessionsOf(database.url, {}, away, () => now);
    const cookie = await signIn(sessions);
    assert.equal(await roleAt(sessions, cookie), 'operator');
    now += (12 * 60 * 60 - 2) * 1000;
    assert.equal(await roleAt(sessions, cookie), 'operator');
    now += 2000;
    assert.equal(await roleAt(sessions, cookie), 'guest');
  });

  it('are valid while Postgres and Redis are unavailable', async () => {
    const url = 'postgres://127.0.0.1:1/nothing';
    const cookie = await signIn(sessionsOf(url));
    assert.equal(await roleAt(sessionsOf(url), cookie), 'operator');
  });

  it('stay signed out when Redis loses its data or Postgres is unavailable', async () => {
    const sessions = sessionsOf(database.url, {}, redis);
    const cookie = await signIn(sessions);
    await database.query("insert into ops_sign_outs values ('expired', now() - interval '1 second')");
    await sessions.signOut(await sessions.visitor(cookie, HOST), HOST);
    assert.equal(await roleAt(sessions, cookie), 'guest');
    // It is remembered for as long as the cookie would be valid, and no longer.
    const [key = ''] = await redis.client.keys('catamount:ops:signed-out:*');
    const hours = 'select ceil(extract(epoch from expires_at - now()) / 3600)::int as left from ops_sign_outs';
    assert.equal(Math.ceil((await redis.client.ttl(key)) / 3600), 12);
    assert.deepEqual(await database.query(hours), [{ left: 12 }]);
    await redis.client.flushAll();
    assert.equal(await roleAt(sessions, cookie), 'guest');
    assert.equal(await roleAt(sessionsOf(database.url), cookie), 'guest');
    // Without Postgres, Redis remembers the sign-out.
    const others = sessionsOf(database.url, {}, redis);
    const again = await signIn(others);
    await others.signOut(await others.visitor(again, HOST), HOST);
    assert.equal(await roleAt(sessionsOf('postgres://127.0.0.1:1/nothing', {}, redis), again), 'guest');
  });

  it('close their event streams at sign-out', async () => {
    const ops = await OpsWeb.start({ NODE_ENV: 'production', APP_URL: 'http://127.0.0.1', ...SIGNED });
    try {
      const other = await ops.signIn(SIGNED.OPS_PASSWORD);
      const others = await ops.stream('/ops/events', { Cookie: other });
      const Cookie = await ops.signIn(SIGNED.OPS_PASSWORD);
      const mine = await ops.stream('/ops/events', { Cookie });
      const page = await ops.get('/ops', { Cookie });
      await ops.post('/ops/sign-out', { token: tokenIn(page.body) }, { Cookie });
      await until('the stream of the session that was signed out has ended', () => mine.answer.readableEnded);
      assert.equal(others.answer.readableEnded, false);
      others.close();
    } finally {
      await ops.stop();
    }
  });

  it('cannot be forged with the password alone', async () => {
    const ops = await OpsWeb.start({ NODE_ENV: 'production', APP_URL: 'http://127.0.0.1', ...SIGNED });
    try {
      const { OPS_USER, OPS_PASSWORD } = SIGNED;
      const parts = `${'A'.repeat(22)}.${Math.floor(Date.now() / 1000) + 3600}`;
      const cookie = (databaseUrl: string) => {
        const key = scryptSync(JSON.stringify([databaseUrl, OPS_USER, OPS_PASSWORD]), 'sessions of catamount', 32);
        return `catamount_ops=${parts}.${createHmac('sha256', key).update(parts).digest('base64url')}`;
      };
      const open = async (Cookie: string) => (await ops.get('/ops/mail/deliveries', { Cookie })).status;
      assert.equal(await open(cookie(ops.database.url)), 200, 'so it is signed');
      for (const url of ['', 'postgres://127.0.0.1/app']) assert.equal(await open(cookie(url)), 404, url);
    } finally {
      await ops.stop();
    }
  });
});
