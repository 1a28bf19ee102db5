import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { text } from 'node:stream/consumers';
import Router from '@koa/router';
import Koa from 'koa';
import { Serving } from './serving';

describe("the app's own Koa", () => {
  let serving: Serving;
  afterEach(() => serving.stop());

  it('runs its middleware before health checks, body parsing and slots, inside our error handling, and has its own keys', async () => {
    const koa = new Koa();
    koa.keys = ['a key of the app'];
    koa.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        if (ctx.path === '/mine') ctx.body = 'an error page of the app';
        else throw error;
      }
    });
    koa.use(async (ctx, next) => {
      if (ctx.path === '/health') ctx.body = 'of the app';
      else if (ctx.path === '/upload') {
        ctx.request.body = await text(ctx.req);
        await next();
      } else await next();
    });
    serving = await Serving.start({
      koa,
      web: { maxThreads: 1 },
      routes: (router) => {
        router.get('/signed', (ctx) => {
          ctx.cookies.set('seat', '7', { signed: true });
          ctx.status = 204;
        });
        router.get('/mine', () => assert.fail('a fault of the route'));
        router.get('/theirs', () => assert.fail('a fault of the route'));
        router.post('/upload', (ctx) => {
          ctx.body = ctx.request.body;
        });
      },
    });
    assert.equal((await serving.request('/health')).text, 'of the app');
    assert.match(String((await serving.request('/signed')).headers['set-cookie']), /seat\.sig=/);
    assert.equal((await serving.request('/mine')).text, 'an error page of the app');
    assert.equal((await serving.request('/theirs')).status, 500);
    assert.equal((await serving.post('/upload', '{"read": "by the app"}')).text, '{"read": "by the app"}');
    assert.equal((await serving.request('/ready')).json.status, 'ok');
  });

  it('names a download in ASCII and in UTF-8, since Node breaks other letters of the header', async () => {
    const names = ['café.pdf', '보고서 é.pdf', 'plain.pdf'];
    serving = await Serving.start({
      routes: (router) => {
        router.get('/files/:n', (ctx) => {
          ctx.attachment(names[Number(ctx.params.n)]);
          ctx.body = Buffer.from('bytes');
        });
      },
    });
    const answers = await Promise.all(names.map((_, n) => serving.request(`/files/${n}`)));
    assert.deepEqual(
      answers.map(({ headers }) => headers['content-disposition']),
      [
        `attachment; filename="caf?.pdf"; filename*=UTF-8''caf%C3%A9.pdf`,
        `attachment; filename="??? ?.pdf"; filename*=UTF-8''%EB%B3%B4%EA%B3%A0%EC%84%9C%20%C3%A9.pdf`,
        'attachment; filename="plain.pdf"',
      ],
    );
    assert.equal(answers[0]?.headers['content-type'], 'application/pdf');
  });

  it('has the raw bytes of a JSON body, to verify a signature', async () => {
    const sign = (body: string | Buffer) => createHmac('sha256', 'secret').update(body).digest('hex');
    serving = await Serving.start({
      routes: (router) => {
        router.post('/hook', (ctx) => {
          ctx.body = { same: sign(ctx.request.rawBody ?? '') === ctx.get('X-Signature'), body: ctx.request.body };
        });
      },
    });
    const body = '{ "price": 1.50,\n"name": "\\u00e9" }';
    const answer = await serving.post('/hook', body, { 'X-Signature': sign(body) });
    assert.deepEqual(answer.json, { same: true, body: { price: 1.5, name: 'é' } });
  });

  /** The pages of an app for what it does not have, as Koa's guide writes them. */
  const ownPages: Koa.Middleware = async (ctx, next) => {
    await next();
    if (ctx.status === 405) {
      ctx.body = `${ctx.method} is not for this`;
      ctx.status = 405;
    }
    if (ctx.status !== 404 || ctx.body) return;
    ctx.body = 'a 404 page of the app';
    ctx.status = 404;
  };
  const told = async (path: string, method = 'GET') => {
    const { status, headers, text: body } = await serving.request(path, { method });
    return { status, allow: headers.allow, type: headers['content-type']?.split(';')[0], body };
  };
  const PAGE = { allow: undefined, type: 'text/plain' };
  const routesOfOurs: NonNullable<Parameters<typeof Serving.start>[0]>['routes'] = (router) => {
    router.get('/ours', (ctx) => {
      ctx.body = 'ours';
    });
    router.get('/empty', () => undefined);
  };

  it('may be an existing one with its own 404 and 405 pages, and allowedMethods of its router', async () => {
    const existing = new Koa();
    const router = new Router();
    router.get('/theirs', (ctx) => {
      ctx.body = 'theirs';
    });
    existing.use(ownPages).use(router.routes()).use(router.allowedMethods());
    serving = await Serving.start({ own: { koa: () => existing }, routes: routesOfOurs });
    assert.deepEqual(await told('/none'), { ...PAGE, status: 404, body: 'a 404 page of the app' });
    assert.deepEqual(await told('/empty'), { ...PAGE, status: 404, body: 'a 404 page of the app' });
    assert.equal((await told('/theirs')).body, 'theirs');
    assert.equal((await told('/ours')).body, 'ours');
    const notAllowed = { ...PAGE, status: 405, body: 'DELETE is not for this' };
    assert.deepEqual(await told('/theirs', 'DELETE'), { ...notAllowed, allow: 'HEAD, GET' });
    assert.deepEqual(await told('/ours', 'DELETE'), { ...notAllowed, allow: 'GET, HEAD, OPTIONS' });
    assert.deepEqual(await told('/theirs', 'OPTIONS'), {
      status: 200,
      allow: 'HEAD, GET',
      type: 'text/plain',
      body: '',
    });
    assert.equal((await told('/ours', 'OPTIONS')).status, 204);
    assert.equal((await serving.request('/ops-none')).text, 'a 404 page of the app');
  });

  it('without such pages gets our problems', async () => {
    const existing = new Koa();
    const router = new Router();
    router.get('/theirs', (ctx) => {
      ctx.body = 'theirs';
    });
    existing.use(router.routes()).use(router.allowedMethods());
    serving = await Serving.start({ own: { koa: () => existing }, routes: routesOfOurs });
    const problem = async (path: string, method = 'GET') => {
      const { status, headers, json } = await serving.request(path, { method });
      assert.match(String(headers['content-type']), /^application\/problem\+json/);
      return [status, json.title, json.detail, headers.allow];
    };
    assert.deepEqual(await problem('/none'), [404, 'Not Found', 'There is nothing at this address.', undefined]);
    assert.deepEqual(await problem('/empty'), [404, 'Not Found', undefined, undefined]);
    for (const [path, allow] of [
      ['/theirs', 'HEAD, GET'],
      ['/ours', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const detail = `DELETE is not allowed here; ${allow} are.`;
      assert.deepEqual(await problem(path, 'DELETE'), [405, 'Method Not Allowed', detail, allow]);
    }
  });
});
