import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { text } from 'node:stream/consumers';
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
});
