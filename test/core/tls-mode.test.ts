import assert from 'node:assert/strict';
import { redisTls } from '../../lib/core/redis-url';
import { readSettings } from '../../lib/core/settings';
import { banner } from '../../lib/role/start/banner';

const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://u:p@db.example/shop',
  REDIS_URL: 'rediss://r.example:6380',
  SMTP_URL: 'smtps://mail.example',
  APP_URL: 'https://shop.example',
};

const read = (env: Readonly<Record<string, string>>) =>
  readSettings({ env: { ...PRODUCTION, ...env }, cwd: '/srv/shop', machine: { memoryLimitMb: null, cores: 2 } });
const told = (env: Readonly<Record<string, string>> = {}) =>
  banner('shop', read(env))
    .filter((line) => /^\* (Mail|Data):/.test(line))
    .join('\n');

describe('the certificates of servers', () => {
  it("are checked, except those of Heroku's servers, which are self-signed", () => {
    const checks = (env: Readonly<Record<string, string>>) => redisTls(read(env).redisUrl ?? '');
    assert.deepEqual(checks({}), { tls: true, rejectUnauthorized: true });
    assert.deepEqual(checks({ DYNO: 'web.1' }), { tls: true, rejectUnauthorized: false });
    assert.deepEqual(checks({ REDIS_URL: 'rediss://r.example:6380?sslmode=require' }), {
      tls: true,
      rejectUnauthorized: false,
    });
    assert.deepEqual(checks({ DYNO: 'web.1', REDIS_URL: 'rediss://r.example:6380?sslmode=verify-full' }), {
      tls: true,
      rejectUnauthorized: true,
    });
    assert.deepEqual(checks({ REDIS_URL: 'redis://r.example:6379' }), {});
    const { databaseUrl, databaseDirectUrl } = read({
      DYNO: 'web.1',
      DATABASE_DIRECT_URL: 'postgres://d.example/shop',
    });
    for (const url of [databaseUrl, databaseDirectUrl]) assert.match(url ?? '', /\?sslmode=require$/);
    for (const DATABASE_URL of ['postgres://u:p@db.example/shop?sslmode=verify-full', 'postgres://127.0.0.1/shop'])
      assert.equal(read({ DYNO: 'web.1', DATABASE_URL }).databaseUrl, DATABASE_URL);
  });

  it('are mentioned in the banner: whether each is checked, and which setting changes that', () => {
    assert.match(told(), /Postgres at db\.example \(TLS, certificate checked\)/);
    assert.match(told(), /Redis at r\.example:6380 \(TLS, certificate checked\)/);
    assert.match(told(), /SMTP to mail\.example \(TLS, certificate checked\)/);
    const heroku = told({ DYNO: 'web.1' });
    assert.match(heroku, /Postgres at db\.example \(TLS, certificate not checked: \?sslmode=verify-full checks it\)/);
    assert.match(heroku, /Redis at r\.example:6380 \(TLS, certificate not checked: \?sslmode=verify-full checks it\)/);
    const plain = told({
      DATABASE_URL: 'postgres://db.example/shop?sslmode=disable',
      REDIS_URL: 'redis://r.example:6379',
      SMTP_URL: 'smtps://mail.example?tls.rejectUnauthorized=false',
    });
    assert.match(plain, /Postgres at db\.example \(no TLS\), Redis at r\.example:6379 \(no TLS\)/);
    assert.match(plain, /certificate not checked: SMTP_URL has tls\.rejectUnauthorized=false/);
    for (const [SMTP_URL, words] of [
      ['smtp://u:p@mail.example:587', 'STARTTLS, certificate checked'],
      ['smtp://mail.example:587?requireTLS=true', 'STARTTLS, certificate checked'],
      ['smtp://mail.example:25', 'STARTTLS where the server offers it, certificate checked'],
      ['smtp://mail.example:25?ignoreTLS=true', 'no TLS'],
    ] as const)
      assert.ok(told({ SMTP_URL }).includes(`(${words})`), told({ SMTP_URL }));
    const withMode = (mode: string) => told({ DATABASE_URL: `postgres://db.example/shop?sslmode=${mode}` });
    assert.match(withMode('prefer'), /db\.example \(no TLS\)/);
    assert.match(withMode('no-verify'), /db\.example \(TLS, certificate not checked/);
    assert.match(withMode('verify-ca'), /db\.example \(TLS, certificate checked\)/);
    // Nobody can eavesdrop on a loopback connection.
    assert.match(
      told({ DATABASE_URL: 'postgres://localhost/shop', REDIS_URL: 'redis://127.0.0.1:1' }),
      /localhost, Redis at 127\.0\.0\.1:1$/,
    );
  });
});
