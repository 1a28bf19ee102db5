import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import Koa from 'koa';
import { readSettings } from '../../lib/core/settings';
import { proxies } from '../../lib/web/proxies';
import { folderOf } from '../mailer/mail-system';
import { Serving } from './serving';

const trustOf = (env: Readonly<Record<string, string>>) => readSettings({ env, cwd: '/srv/shop' }).trustProxy;

describe('a proxy in front', () => {
  /** @returns how the app sees a request. */
  async function seen(env: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>>) {
    const serving = await Serving.start({
      trustProxy: trustOf(env),
      routes: (router) => {
        router.get('/seen', (ctx) => {
          ctx.body = { ip: ctx.ip, protocol: ctx.protocol, host: ctx.host, forwarded: ctx.get('X-Forwarded-For') };
        });
      },
    });
    try {
      const { status, json } = await serving.request('/seen', { headers });
      const told = { ip: '', protocol: '', host: '', forwarded: '', ...json };
      return { ...told, status, untrusted: serving.untrusted.at(0) };
    } finally {
      await serving.stop();
    }
  }
  const FORWARDED = {
    'X-Forwarded-For': '203.0.113.9, 198.51.100.7, 10.1.2.3',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'shop.example',
  };

  it('is believed only when it is trusted', async () => {
    for (const env of [{}, { TRUST_PROXY: '0' }, { TRUST_PROXY: '192.0.2.0/24' }]) {
      const { ip, protocol, host, forwarded, untrusted } = await seen(env, FORWARDED);
      assert.equal(untrusted, '127.0.0.1', 'the sender is reported');
      assert.deepEqual([ip, protocol, forwarded], ['127.0.0.1', 'http', '']);
      assert.notEqual(host, 'shop.example');
    }
  });

  it('identifies the client by the number of hops, or by the addresses of proxies', async () => {
    for (const [TRUST_PROXY, ip] of [
      ['1', '10.1.2.3'],
      ['2', '198.51.100.7'],
      ['9', '203.0.113.9'],
      ['127.0.0.0/8', '10.1.2.3'],
      ['127.0.0.1, 10.0.0.0/8, ::1', '198.51.100.7'],
      ['127.0.0.1,10.0.0.0/8,198.51.100.0/24,203.0.113.0/24', '203.0.113.9'],
    ] as const) {
      const found = await seen({ TRUST_PROXY }, FORWARDED);
      const told = [found.ip, found.protocol, found.host, found.untrusted];
      assert.deepEqual(told, [ip, 'https', 'shop.example', undefined], TRUST_PROXY);
    }
    const wide = '::ffff:203.0.113.9, 2001:db8::7, 10.1.2.3';
    const found = await seen({ TRUST_PROXY: '127.0.0.1, 10.0.0.0/8, 2001:db8::/32' }, { 'X-Forwarded-For': wide });
    assert.equal(found.ip, '203.0.113.9', 'whatever their version of IP');
    const none = await seen({ TRUST_PROXY: '1' }, {});
    assert.deepEqual([none.ip, none.protocol], ['127.0.0.1', 'http']);
    assert.equal((await seen({}, {})).untrusted, undefined);
    const odd = await seen({ TRUST_PROXY: '2' }, { 'X-Forwarded-For': '<script>, unknown' });
    assert.equal(odd.ip, '127.0.0.1');
    const forged = await seen(
      { TRUST_PROXY: '127.0.0.1, 10.0.0.0/8' },
      { 'X-Forwarded-For': '1.2.3.4, nobody, 10.1.2.3' },
    );
    assert.equal(forged.ip, '10.1.2.3', 'what the first proxy was sent, a client may have forged');
  });

  it('is believed on a Unix socket, by which only a proxy on this machine connects', async () => {
    const app = new Koa().use(proxies(trustOf({ TRUST_PROXY: '10.0.0.0/8' }))).use((ctx) => {
      ctx.body = ctx.ip;
    });
    const socketPath = path.join(folderOf({}), 'app.sock');
    const server = app.listen(socketPath);
    try {
      await once(server, 'listening');
      const [answer] = await once(http.get({ socketPath, headers: FORWARDED, agent: false }), 'response');
      assert.equal(await text(answer), '198.51.100.7');
    } finally {
      server.close();
    }
  });

  it('must be trusted, as the log says, for a cookie that only https may carry', async () => {
    const serving = await Serving.start({
      routes: (router) => {
        router.get('/sign-in', (ctx) => {
          ctx.cookies.set('session', 'abc', { secure: true });
        });
      },
    });
    assert.equal((await serving.request('/sign-in', { headers: FORWARDED })).status, 500);
    await serving.stop();
    const [{ error } = assert.fail('nothing was reported')] = serving.errors;
    assert.equal(
      error.message,
      'Cannot send secure cookie over unencrypted connection: behind a proxy that ends TLS, set TRUST_PROXY, and have the proxy send X-Forwarded-Proto',
    );
  });

  it('is one hop on Heroku; anything but a number or addresses is rejected', () => {
    assert.deepEqual(trustOf({ DYNO: 'web.1' }), { hops: 1 });
    assert.deepEqual(trustOf({ DYNO: 'web.1', TRUST_PROXY: '2' }), { hops: 2 });
    assert.deepEqual(trustOf({}), { hops: 0 });
    for (const TRUST_PROXY of ['yes', '-1', '10.0.0.0/33', '10.0.0', '::1/129', '1.5', '10.0.0.1;::1', '10.0.0.0/'])
      assert.throws(() => trustOf({ TRUST_PROXY }), /TRUST_PROXY.*must be .*hops/, TRUST_PROXY);
  });
});
