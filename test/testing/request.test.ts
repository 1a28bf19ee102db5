import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { Job } from '../../lib/job/job';
import { type AppDefinition, type AppOptions, defineApp, type Routes } from '../../lib/role/app/app-definition';
import { assertEnqueued, request, useFakeJobs } from '../../lib/testing';
import { ProblemError } from '../../lib/web/context';

const ROOT = path.resolve(__dirname, '../..');

class GreetJob extends Job<[name: string]> {
  perform(_name: string) {}
}

const appWith = (routes: Routes, more: Partial<AppOptions> = {}): AppDefinition =>
  defineApp({ name: 'shop', root: __dirname, routes: async () => ({ default: routes }), ...more });

const shop = appWith((router, { limit }) => {
  const seldom = limit('seldom', { count: 1, seconds: 60 });
  router.get('/whence', (ctx) => {
    ctx.body = { ip: ctx.ip, locale: ctx.locale, cookie: ctx.cookies.get('a'), host: ctx.host };
    ctx.cookies.set('b', '2');
    ctx.cookies.set('c', '3');
  });
  router.post('/greetings', async (ctx) => {
    const { name } = ctx.request.body as { name: string };
    await GreetJob.performLater(name);
    ctx.status = 202;
    ctx.body = { name };
  });
  router.put('/raw', (ctx) => {
    ctx.body = { type: ctx.request.type, body: ctx.request.body, raw: ctx.request.rawBody?.toString() };
  });
  router.delete('/things', (ctx) => {
    ctx.status = 204;
  });
  router.patch('/things', () => {
    throw new ProblemError(422, { detail: 'not these' });
  });
  router.get('/boom', () => {
    throw new RangeError('the reason');
  });
  router.get('/seldom', async (ctx) => {
    const seconds = await seldom.take(ctx.ip);
    ctx.status = seconds > 0 ? 429 : 204;
  });
  router.get('/large', (ctx) => {
    ctx.body = Buffer.alloc(3_000_000, 'x');
  });
  router.get('/slow', () => new Promise(() => undefined));
  router.get('/cut', (ctx) => {
    ctx.res.writeHead(200, { 'Content-Length': 10 });
    ctx.res.write('half');
    ctx.res.destroy();
    ctx.respond = false;
  });
  router.get('/page', (ctx) => {
    ctx.body = '<p>Hello';
  });
});

describe('request(app)', () => {
  it('passes through the middleware, the routes and the error handling', async () => {
    const app = request(shop);
    const refused = await app.patch('/things', { json: {} });
    assert.equal(refused.status, 422);
    assert.equal(refused.headers['content-type'], 'application/problem+json; charset=utf-8');
    assert.equal(refused.json<{ detail: string }>().detail, 'not these');
    assert.equal(refused.error, undefined);
    assert.equal((await app.get('/none')).status, 404);
    assert.equal((await app.get('/greetings')).headers.allow, 'POST, OPTIONS');
    assert.equal((await app.delete('/things')).text, '');
    assert.equal((await app.get('/health')).json<{ app: string }>().app, 'shop');
    assert.equal((await app.send('OPTIONS', '/greetings')).status, 204);
    const head = await app.head('/large');
    assert.deepEqual([head.headers['content-length'], head.text], ['3000000', '']);
    assert.ok(head.headers['content-security-policy']);
  });

  it('sends bodies, headers and cookies unchanged, from this machine', async () => {
    const app = request(shop);
    const answer = await app.get('/whence?a=1', { headers: { Cookie: 'a=1', 'Accept-Language': 'ko' } });
    assert.deepEqual(answer.json(), { ip: '127.0.0.1', locale: 'ko', cookie: '1', host: 'localhost' });
    assert.deepEqual(
      answer.headers['set-cookie']?.map((cookie) => cookie.split(';')[0]),
      ['b=2', 'c=3'],
    );
    const json = await app.put('/raw', { json: { a: 'é' } });
    assert.deepEqual(json.json(), { type: 'application/json', body: { a: 'é' }, raw: '{"a":"é"}' });
    const patch = await app.put('/raw', { json: {}, headers: { 'Content-Type': 'application/merge-patch+json' } });
    assert.deepEqual(patch.json(), { type: 'application/merge-patch+json', body: {}, raw: '{}' });
    const text = await app.put('/raw', { body: 'a=1', headers: { 'Content-Type': 'text/plain' } });
    assert.deepEqual(text.json(), { type: 'text/plain' });
    const malformed = await app.put('/raw', { body: '{', headers: { 'Content-Type': 'application/json' } });
    assert.equal(malformed.status, 400);
    assert.equal((await app.get('/large')).body.length, 3_000_000);
    const large = await app.put('/raw', { json: 'x'.repeat(200_000) });
    assert.equal(large.status, 413);
  });

  it('exposes the error behind a 500', async () => {
    const answer = await request(shop).get('/boom');
    assert.equal(answer.status, 500);
    assert.doesNotMatch(answer.text, /the reason/);
    assert.ok(answer.error instanceof RangeError);
    assert.equal(answer.error.message, 'the reason');
  });

  it('enqueues the jobs of a route where assertions find them', async () => {
    await using _jobs = await useFakeJobs();
    const answers = await Promise.all(
      ['Ada', 'Bob'].map((name) => request(shop).post('/greetings', { json: { name } })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [202, 202],
    );
    assertEnqueued(GreetJob, { args: ['Ada'], times: 1 });
    assertEnqueued(GreetJob, { times: 2 });
  });

  it('counts rate limits in memory, separately for each request()', async () => {
    const app = request(shop);
    assert.deepEqual([(await app.get('/seldom')).status, (await app.get('/seldom')).status], [204, 429]);
    assert.equal((await request(shop).get('/seldom')).status, 204);
  });

  it("uses the app's own Koa, parsers, headers, hooks and settings", async () => {
    const calls: string[] = [];
    const app = request(
      appWith(
        (router, { config }) => {
          router.get('/', (ctx) => {
            const { appUrl, environment } = config;
            ctx.body = { from: ctx.state.from, appUrl, environment, ip: ctx.ip, booted: [...calls] };
          });
          router.post('/', (ctx) => {
            ctx.body = { body: ctx.request.body };
          });
        },
        {
          koa: (koa) => {
            koa.use((ctx, next) => {
              ctx.state.from = 'koa';
              return next();
            });
          },
          bodyParser: (ctx, next) => {
            ctx.request.body = 'parsed';
            return next();
          },
          headers: false,
          probes: { health: '/livez' },
          workerBoot: ({ role, slot }) => calls.push(`boot ${role} ${slot}`),
          workerStop: ({ role }) => calls.push(`stop ${role}`),
        },
      ),
      { settings: { APP_URL: 'https://shop.example', TRUST_PROXY: '1' } },
    );
    const answer = await app.get('/', { headers: { 'X-Forwarded-For': '192.0.2.7' } });
    const expected = { from: 'koa', appUrl: 'https://shop.example', environment: 'test', ip: '192.0.2.7' };
    assert.deepEqual(answer.json(), { ...expected, booted: ['boot web 0'] });
    assert.equal(answer.headers['content-security-policy'], undefined);
    assert.deepEqual((await app.post('/', { body: 'x' })).json(), { body: 'parsed' });
    assert.equal((await app.get('/livez')).status, 200);
    await app.close();
    await app.close();
    assert.deepEqual(calls, ['boot web 0', 'stop web']);
  });

  it('explains a response that does not arrive, is cut off, or is not JSON', async () => {
    const app = request(shop);
    await assert.rejects(app.get('/slow', { timeoutMs: 20 }), {
      message: 'request: GET /slow: no complete response in 20 ms; raise timeoutMs, or end the response',
    });
    await assert.rejects(app.get('/cut'), /^Error: request: GET \/cut: the response was cut off: /);
    const page = await app.get('/page');
    assert.throws(() => page.json(), { message: 'request: GET /page answered 200 with no JSON: <p>Hello' });
    const empty = await app.delete('/things');
    assert.throws(() => empty.json(), { message: 'request: DELETE /things answered 204 with no body' });
  });

  it('needs what defineApp returns', () => {
    for (const wrong of [undefined, 7, { default: shop }])
      assert.throws(() => request(wrong as never), /^TypeError: request takes the app that defineApp returns/);
  });

  it('keeps no process alive after requests and rate limits', async () => {
    const script = `
      const { request } = require('./lib/testing');
      const { defineApp } = require('./lib/index');
      const routes = (router, { limit }) => {
        const seldom = limit('seldom', { count: 1, seconds: 600 });
        router.get('/', async (ctx) => { ctx.body = String(await seldom.take(ctx.ip)); });
      };
      const app = request(defineApp({ name: 'shop', root: process.cwd(), routes: async () => ({ default: routes }) }));
      app.get('/').then(({ status, text }) => console.log(status, text));
    `;
    const args = ['--import=tsx', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, timeout: 30_000 });
    assert.equal(stdout, '200 0\n');
  });
});
