import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import multer from '@koa/multer';
import Koa from 'koa';
import type { OwnWeb } from '../../lib/web/own-web';
import { ownWeb } from '../../lib/web/own-web';
import { Serving } from './serving';

const BIG = JSON.stringify({ words: 'x'.repeat(150_000) });

const UNFINISHED = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"';

/** A form with one file, as a browser sends it. */
function form(name: string, bytes: number): { readonly body: Buffer; readonly headers: Record<string, string> } {
  const head = `--b1\r\nContent-Disposition: form-data; name="${name}"; filename="a.bin"\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, 7), Buffer.from('\r\n--b1--\r\n')]);
  return { body, headers: { 'Content-Type': 'multipart/form-data; boundary=b1' } };
}

describe("an app's settings of its web:", () => {
  let serving: Serving;
  const serve = async (own: OwnWeb, routes: Parameters<typeof Serving.start>[0] = {}) => {
    serving = await Serving.start({ own, ...routes });
    return serving;
  };
  afterEach(() => serving?.stop());

  describe('bodyParser', () => {
    const routes: NonNullable<Parameters<typeof Serving.start>[0]> = {
      routes: (router) => {
        router.post(/.*/, async (ctx) => {
          const { body, rawBody } = ctx.request;
          ctx.body = body === undefined ? { read: (await text(ctx.req)).length } : { body, raw: rawBody?.length };
        });
      },
    };
    const shout = async (ctx: Koa.Context, next: Koa.Next) => {
      ctx.request.body = (await text(ctx.req)).toUpperCase();
      await next();
    };

    it('as false leaves JSON of any size to the route', async () => {
      await serve({ bodyParser: false }, routes);
      assert.deepEqual((await serving.post('/hook', BIG)).json, { read: BIG.length });
    });

    it('as a middleware replaces ours, before the request waits for a slot', async () => {
      await serve({ bodyParser: shout }, { ...routes, web: { maxThreads: 1 } });
      const slow = await serving.connect();
      slow.write('POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nContent-Type: text/plain\r\n\r\nhalf');
      assert.deepEqual((await serving.post('/note', 'hello', { 'Content-Type': 'text/plain' })).json, {
        body: 'HELLO',
      });
      slow.destroy();
    });

    it('as a middleware leaves to us what it does not read', async () => {
      await serve({ bodyParser: (ctx, next) => (ctx.path === '/loud' ? shout(ctx, next) : next()) }, routes);
      const answers = ['/loud', '/other'].map((path) => serving.post(path, '{"a":1}', { Expect: '100-continue' }));
      assert.deepEqual(
        (await Promise.all(answers)).map(({ json }) => json),
        [{ body: '{"A":1}' }, { body: { a: 1 }, raw: 7 }],
      );
    });

    it('may be multer, whose limits give 413 and whose other errors 400', async () => {
      const upload = multer({ limits: { fileSize: 1_000_000 } });
      await serve(
        { bodyParser: upload.single('file') as Koa.Middleware },
        {
          routes: (router) => {
            router.post('/files', (ctx) => {
              ctx.body = { bytes: ctx.request.file?.size };
            });
          },
        },
      );
      const send = ({ body, headers }: ReturnType<typeof form>) => serving.post('/files', body, headers);
      assert.deepEqual((await send(form('file', 900_000))).json, { bytes: 900_000 });
      const large = await send(form('file', 1_100_000));
      assert.deepEqual([large.status, large.json.detail], [413, 'File too large']);
      assert.equal((await send(form('other', 10))).status, 400);
      assert.deepEqual(serving.errors, []);
    });
  });

  it('BODY_LIMIT limits the bodies that we parse, and may be larger than what other bodies may take of a worker', async () => {
    const routes: NonNullable<Parameters<typeof Serving.start>[0]>['routes'] = (router) =>
      void router.post('/', (ctx) => {
        ctx.status = 204;
      });
    await serve({}, { web: { bodyLimitBytes: 20_000_000 }, routes });
    assert.equal((await serving.post('/', `"${'x'.repeat(17_000_000)}"`)).status, 204);
    await serving.stop();
    await serve({}, { web: { bodyLimitBytes: 200_000 }, routes });
    assert.equal((await serving.post('/', BIG)).status, 204);
    const large = await serving.post('/', `"${'x'.repeat(200_000)}"`);
    assert.deepEqual([large.status, large.json.detail], [413, 'The body must not be larger than 200000 bytes.']);
    await serving.stop();
    await serve({}, { web: { bodyLimitBytes: 3 }, routes });
    assert.equal((await serving.post('/', '"xx"')).status, 413);
  });

  it('requests that Node rejects get a problem document', async () => {
    await serve({}, { web: { headerTimeoutMs: 1, requestTimeoutMs: 1000 } });
    const long = 'x'.repeat(20_000);
    const chunked = UNFINISHED.replace('Content-Length: 10', 'Transfer-Encoding: chunked').replace('{', `1;${long}`);
    const headers = `GET / HTTP/1.1\r\nHost: a\r\nX: ${long}\r\n\r\n`;
    const texts = await Promise.all(
      ['GET / HT', UNFINISHED, headers, 'nonsense\r\n\r\n', chunked].map(async (bytes) => {
        const socket = await serving.connect();
        socket.write(bytes);
        return text(socket);
      }),
    );
    for (const [index, status] of [408, 408, 431, 400, 413].entries()) {
      const [head = '', body = ''] = texts[index]?.split('\r\n\r\n') ?? [];
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*Content-Type: application/problem\\+json`));
      const problem = JSON.parse(body) as { status: number; detail: string; requestId?: string };
      assert.deepEqual([problem.status, problem.requestId?.length], [status, [1, 4].includes(index) ? 36 : undefined]);
      assert.match(problem.detail, /^The .*\.$/);
    }
  });

  it("headers: helmet's options, old names included, or none; the operator's pages keep ours", async () => {
    const beside = async (ctx: Koa.Context, next: Koa.Next) => {
      if (ctx.path === '/ops' || ctx.path === '/ops.json') ctx.body = 'ops';
      else await next();
    };
    await serve(
      { headers: { contentSecurityPolicy: false, hsts: { maxAge: 5 }, frameguard: { action: 'sameorigin' } } },
      { beside },
    );
    const { headers } = await serving.request('/health');
    assert.equal(headers['content-security-policy'], undefined);
    assert.match(String(headers['strict-transport-security']), /^max-age=5\b/);
    assert.equal(headers['x-frame-options'], 'SAMEORIGIN');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.match(String((await serving.request('/ops')).headers['content-security-policy']), /^default-src 'none'/);
    await serving.stop();
    await serve({ headers: false }, { beside });
    assert.equal((await serving.request('/health')).headers['x-content-type-options'], undefined);
    for (const path of ['/ops', '/ops.json'])
      assert.equal((await serving.request(path)).headers['x-content-type-options'], 'nosniff', path);
  });

  it("probes: at other paths, or by the app's own routes", async () => {
    const routes = {
      routes: (router: Parameters<NonNullable<NonNullable<Parameters<typeof Serving.start>[0]>['routes']>>[0]) => {
        router.get('/ready', (ctx) => {
          ctx.body = 'of the app';
        });
      },
    };
    await serve({ probes: { health: '/livez', ready: '/readyz' } }, routes);
    assert.equal((await serving.request('/livez')).json.status, 'ok');
    assert.equal((await serving.request('/readyz')).json.status, 'ok');
    assert.equal((await serving.request('/health')).status, 404);
    assert.equal((await serving.request('/ready')).text, 'of the app');
    await serving.stop();
    await serve({ probes: { ready: false } }, routes);
    assert.equal((await serving.request('/health')).json.status, 'ok');
    assert.equal((await serving.request('/ready')).text, 'of the app');
    for (const probes of [false, { health: false, ready: false }] as const) {
      await serving.stop();
      await serve({ probes }, routes);
      assert.equal((await serving.request('/health')).status, 404);
      assert.equal((await serving.request('/ready')).text, 'of the app');
    }
  });

  it('koa: an existing app keeps its keys, context and parser, and runs in a slot before the routes', async () => {
    const existing = new Koa();
    existing.keys = ['a key'];
    existing.context.shop = 'of the app';
    existing.use(async (ctx, next) => {
      ctx.state.order = [...(ctx.state.order ?? []), 'existing'];
      if (ctx.path === '/echo') ctx.body = await text(ctx.req);
      else await next();
    });
    const own: OwnWeb = {
      koa: (app) => {
        app.use((ctx, next) => {
          ctx.state.order = ['first'];
          return next();
        });
        return existing;
      },
    };
    await serve(own, {
      routes: (router) => {
        router.get('/', (ctx) => {
          ctx.cookies.set('seat', '7', { signed: true });
          ctx.body = { order: ctx.state.order, shop: ctx.shop, inFlight: serving.limit.snapshot().inFlight };
        });
      },
    });
    const answer = await serving.request('/');
    assert.deepEqual(answer.json, { order: ['first', 'existing'], shop: 'of the app', inFlight: 1 });
    assert.match(String(answer.headers['set-cookie']), /seat\.sig=/);
    assert.equal((await serving.post('/echo', '{"a": 1}')).text, '{"a": 1}');
    assert.equal((await serving.request('/health')).json.app, 'shop');
    assert.equal((await serving.request('/nothing')).status, 404);
    await serving.stop();
    const sign = (ctx: Koa.Context) => {
      ctx.cookies.set('seat', '7', { signed: true });
      ctx.body = ctx.app.keys;
    };
    await serve({ koa: (app) => Object.assign(app, { keys: ['of koa'] }) && new Koa().use(sign) });
    assert.deepEqual((await serving.request('/')).json, ['of koa'], 'one without keys gets those of koa');
  });

  const WRONG: Readonly<Record<string, readonly [unknown, RegExp]>> = {
    'an invalid parser': [{ bodyParser: 'json' }, /^defineApp: bodyParser is "json"; give a middleware, or false$/],
    'invalid headers': [{ headers: true }, /headers is true; give helmet's options, or false/],
    'an option that helmet rejects': [{ headers: { frameguard: { action: 'x' } } }, /headers is .*; helmet says: /],
    'a probe without a slash': [{ probes: { health: 'livez' } }, /probes\.health is "livez"; give a path/],
    'a probe with a query': [{ probes: { ready: '/ready?x' } }, /probes\.ready is "\/ready\?x"; give a path/],
    'an unknown probe': [{ probes: { live: '/livez' } }, /probes\.live is "\/livez"; the probes are health and ready/],
    'the same path for both probes': [{ probes: { health: '/ready' } }, /give each its own path/],
    'invalid probes': [{ probes: '/livez' }, /probes is "\/livez"; give \{ health/],
  };
  for (const [name, [own, message]] of Object.entries(WRONG)) {
    it(`rejected with one sentence: ${name}`, async () => {
      await assert.rejects(ownWeb(own as OwnWeb), { name: 'UserError', exitCode: 78, message });
    });
  }
});
