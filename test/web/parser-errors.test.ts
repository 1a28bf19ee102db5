import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { createBrotliDecompress, createGunzip, gzipSync } from 'node:zlib';
import multer from '@koa/multer';
import type Koa from 'koa';
import { inSuite } from '../support/suite';
import { Serving } from './serving';

const FORM = 'multipart/form-data; boundary=b1';
const HEAD = '--b1\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n';
const WHOLE = `${HEAD}\r\nabc\r\n--b1--\r\n`;
const FORMS: Readonly<Record<string, readonly [type: string, body: string]>> = {
  'cut within a header': [FORM, WHOLE.slice(0, 30)],
  'without a boundary': ['multipart/form-data', WHOLE],
  'with another boundary': ['multipart/form-data; boundary=b2', WHOLE],
  'that is junk': [FORM, 'junk junk junk'],
  'with a malformed header': [FORM, WHOLE.replace('Content-D', 'Content\x01D')],
};
const GZIP = { 'content-encoding': 'gzip' };

/** Rejects as co-body does, on which koa-body and @koa/bodyparser are built. */
const likeCoBody: Koa.Middleware = async (ctx, next) => {
  const encoding = ctx.get('Content-Encoding');
  if (encoding === 'foo') throw Object.assign(new Error('Unsupported Content-Encoding: foo'), { status: 415 });
  const unzip = { gzip: createGunzip, br: createBrotliDecompress }[encoding];
  const body = await text(unzip ? ctx.req.pipe(unzip()) : ctx.req);
  try {
    JSON.parse(body);
  } catch (error) {
    throw Object.assign(error as SyntaxError, { status: 400, body });
  }
  await next();
};

/** What the usual parsers of Koa apps reject is the client's fault, whatever form their errors have. */
describe('a malformed body that a parser of the app rejects', () => {
  const serving = inSuite('stop', () =>
    Serving.start({
      own: { bodyParser: false },
      routes: (router) => {
        const done = (ctx: Koa.Context) => {
          ctx.status = 204;
        };
        const parsers = {
          multer: multer({ limits: { fileSize: 1000 } }).single('file'),
          'co-body': likeCoBody,
        };
        for (const [name, parser] of Object.entries(parsers)) router.post(`/${name}`, parser as Koa.Middleware, done);
        router.post('/formidable/:status', ({ params: { status } }) => {
          throw Object.assign(new Error('unknown transfer-encoding'), { code: 1014, httpCode: Number(status) });
        });
        router.post('/busboy', () => Promise.reject(new Error('Unsupported content type: text/odd')));
        router.post('/status', () => Promise.reject(Object.assign(new Error('the secret is 42'), { status: 409 })));
        router.post('/upstream', () => Promise.reject(Object.assign(new Error('the secret is 42'), { status: 502 })));
        router.post('/words', () => Promise.reject(new Error('Unexpected end of the world')));
      },
    }),
  );
  beforeEach(() => {
    serving.errors.length = 0;
  });

  const sent = async (path: string, type: string, body: string | Buffer, headers = {}) =>
    (await serving.post(path, body, { 'content-type': type, ...headers })).status;

  it('gets 400 from multer', async () => {
    assert.equal(await sent('/multer', FORM, WHOLE), 204);
    for (const [what, [type, body]] of Object.entries(FORMS))
      assert.equal(await sent('/multer', type, body), 400, `a form ${what}`);
    assert.deepEqual(serving.errors, []);
  });

  it('gets 400 or 415 by errors with a status but no `expose`, and from zlib', async () => {
    const whole = gzipSync(`{"a":"${'abcdefgh'.repeat(20)}"}`);
    const json = (body: string | Buffer, headers = {}) => sent('/co-body', 'application/json', body, headers);
    assert.equal(await json(whole, GZIP), 204);
    assert.equal(await json('{"a":'), 400);
    assert.equal(await json('{}', GZIP), 400);
    assert.equal(await json('{}', { 'content-encoding': 'br' }), 400);
    assert.equal(await json(whole.subarray(0, 20), GZIP), 400);
    assert.equal(await json('{}', { 'content-encoding': 'foo' }), 415);
    assert.equal(await sent('/busboy', FORM, WHOLE), 415);
    for (const [theirs, ours] of Object.entries({ 501: 400, 413: 413, 400: 400 }))
      assert.equal(await sent(`/formidable/${theirs}`, FORM, WHOLE), ours);
    assert.deepEqual(serving.errors, []);
  });

  it("is told apart from the app's own errors, whose status below 500 is kept as in Koa, without the message", async () => {
    for (const [path, status] of [
      ['/status', 409],
      ['/upstream', 500],
      ['/words', 500],
    ] as const) {
      const answer = await serving.post(path, '{}');
      assert.equal(answer.status, status);
      assert.doesNotMatch(answer.text, /secret|world/);
      assert.equal(serving.errors.pop()?.path, path);
    }
  });
});
