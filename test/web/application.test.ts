import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { currentContext } from '../../lib/core/execution-context';
import { ProblemError } from '../../lib/web/context';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { Serving } from './serving';

describe('the application', () => {
  let serving: Serving;

  before(async () => {
    serving = await Serving.start({
      routes(router) {
        router.get('/hello', (ctx) => {
          ctx.body = { context: currentContext() };
        });
        router.post('/hello', (ctx) => {
          ctx.body = { got: ctx.request.body ?? null };
        });
        router.get('/whence', (ctx) => {
          ctx.body = { host: ctx.host, origin: ctx.origin, ip: ctx.ip };
        });
        router.get('/missing', () => undefined);
        router.get('/teapot', () => {
          throw new ProblemError(418, { title: 'Teapot', detail: 'short and stout', headers: { 'X-Tea': 'green' } });
        });
        router.get('/echo', (ctx) => {
          throw new ProblemError(422, {
            detail: ctx.get('X-Say'),
            errors: [{ pointer: '/<b>', detail: ctx.get('X-Say') }],
          });
        });
        router.get('/challenge', (ctx) => {
          const headers = {
            'WWW-Authenticate': ['Basic realm="shop"', 'Bearer'],
            'Content-Length': '1',
            'X-Bad': 'a\r\nb',
          };
          ctx.throw(401, 'who are you?', { headers });
        });
        router.get('/busy', (ctx) => ctx.throw(503, { headers: { 'Retry-After': 7, 'X-Odd': { a: 1 } } }));
        router.get('/boom', (ctx) => {
          ctx.set({ ETag: '"x"', 'Cache-Control': 'public', 'Content-Encoding': 'gzip', Location: '/' });
          throw new Error('the secret is 42');
        });
        router.get('/outage/:code', ({ params: { code } }) => {
          const lost = code === 'pool' ? { name: 'KnexTimeoutError' } : { code };
          throw new Error('the job failed', { cause: Object.assign(new Error('host 10.0.0.7'), lost) });
        });
        router.get('/not-an-error', () => Promise.reject({ expose: true, status: 'odd' }));
        router.get('/not-json', (ctx) => {
          ctx.body = { id: 1n };
        });
        router.get('/broken-stream', (ctx) => {
          ctx.body = Readable.from(
            (async function* chunks() {
              yield 'half';
              throw new Error('the disk is gone');
            })(),
          );
        });
        router.get('/items/:id', (ctx) => {
          ctx.body = { id: ctx.params.id };
        });
      },
    });
  });
  after(() => serving.stop());
  beforeEach(() => {
    serving.errors.length = 0;
    serving.finished.length = 0;
  });

  describe('request id', () => {
    it('keeps a well-formed one, which is also in the execution context', async () => {
      const requestId = 'ab.c_-1'.padEnd(128, '0');
      const { headers, json } = await serving.request('/hello', { headers: { 'x-request-id': requestId } });
      assert.equal(headers['x-request-id'], requestId);
      assert.deepEqual(json, { context: { requestId, locale: 'en', sql: { count: 0, ms: 0 } } });
    });

    it('replaces any other', async () => {
      for (const bad of ['', 'a b', 'x'.repeat(129), 'é', '<script>']) {
        const header = { 'x-request-id': Buffer.from(bad).toString('latin1') };
        const { headers } = await serving.request('/hello', { headers: header });
        assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/, bad);
      }
    });
  });

  it('takes the locale that a client likes best of those there are', async () => {
    for (const [header, locale] of Object.entries({
      ko: 'ko',
      'ko-KR,ko;q=0.9,en;q=0.8': 'ko',
      'en-US,en;q=0.9,ko;q=0.1': 'en',
      'de, *;q=0.1': 'en',
      ';;;q=x': 'en',
    })) {
      const { json } = await serving.request('/hello', { headers: { 'accept-language': header } });
      assert.equal((json.context as { locale: string }).locale, locale, header);
    }
  });

  describe('locales of the app', () => {
    const folder = tempFolder('locales');
    let german: Serving;
    before(async () => {
      const problems = { 404: { title: 'Hier ist nichts', what: 'Diese Seite gibt es nicht.' }, home: 'Startseite' };
      fs.writeFileSync(path.join(folder, 'de.json'), JSON.stringify({ catamount: { problems } }));
      fs.writeFileSync(path.join(folder, 'pt-BR.json'), '{}');
      german = await Serving.start({
        localesDir: folder,
        defaultLocale: 'de',
        routes: (router) => {
          router.get('/hello', (ctx) => {
            ctx.body = { context: currentContext() };
          });
        },
      });
    });
    after(async () => {
      await german.stop();
      removeFolder(folder);
    });
    const asked = (languages: string) => ({ headers: { accept: 'text/html', 'accept-language': languages } });

    it('are those with files, and the default one', async () => {
      const cases = { '': 'de', de: 'de', 'de-CH,en': 'de', ko: 'de', pt: 'pt-BR', 'en;q=0.9,pt-br;q=0.8': 'pt-BR' };
      for (const [languages, locale] of Object.entries(cases)) {
        const { json } = await german.request('/hello', asked(languages));
        assert.equal((json.context as { locale: string }).locale, locale, languages);
      }
    });

    it('translate the error pages with the texts of their files, and each missing text is reported once', async () => {
      const page = await german.request('/none', asked('de'));
      assert.match(page.text, /<html lang="de">[\s\S]*<h1>Hier ist nichts<\/h1>\n<p>Diese Seite gibt es nicht\.<\/p>/);
      assert.match(page.text, /404 Not Found · Request [\s\S]*Startseite/);
      const other = await german.request('/hello', { ...asked('de'), method: 'DELETE' });
      assert.match(other.text, /<html lang="en">[\s\S]*<h1>That cannot be done here<\/h1>/);
      assert.match((await german.request('/none', asked('pt-BR'))).text, /<html lang="de">[\s\S]*Hier ist nichts/);
      await german.request('/none', asked('de'));
      const told = german.warnings.map((message) =>
        /catamount\.problems\.(\S+) is missing in (\S+), .* of (\w+)/.exec(message),
      );
      assert.deepEqual(
        told.map((found) => found?.slice(1, 4).join(' ')),
        [
          'request de en',
          '405.title de en',
          '405.what de en',
          '404.title pt-BR de',
          '404.what pt-BR de',
          'home pt-BR de',
          'request pt-BR en',
        ],
      );
    });
  });

  describe('errors', () => {
    it('answers with the status, headers and document of a ProblemError', async () => {
      const answer = await serving.request('/teapot', { headers: { 'x-request-id': 'r1' } });
      assert.equal(answer.status, 418);
      assert.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8');
      assert.equal(answer.headers['x-tea'], 'green');
      assert.deepEqual(answer.json, {
        type: 'about:blank',
        title: 'Teapot',
        status: 418,
        detail: 'short and stout',
        requestId: 'r1',
      });
      assert.equal(serving.errors.length, 0);
    });

    it('are shown as pages in a browser, in its language, and sent as JSON otherwise', async () => {
      const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
      const browse = (path: string, headers = {}) => serving.request(path, { headers: { accept, ...headers } });
      const missing = await browse('/nope', { 'accept-language': 'ko-KR,ko;q=0.9' });
      assert.deepEqual(
        [missing.status, missing.headers['content-type'], missing.headers.vary],
        [404, 'text/html; charset=utf-8', 'Accept, Accept-Language'],
      );
      assert.match(missing.text, /<html lang="ko">[\s\S]*이 주소의 페이지가 없습니다/);
      assert.ok(missing.text.includes(String(missing.headers['x-request-id'])));
      const style = /<style>(.*)<\/style>/.exec(missing.text)?.[1] ?? '';
      const digest = createHash('sha256').update(style).digest('base64');
      assert.ok(missing.headers['content-security-policy']?.includes(`style-src 'sha256-${digest}'`));
      assert.match((await browse('/teapot')).text, /<h1>Teapot<\/h1>\n<p>short and stout<\/p>/);
      const fault = await browse('/boom');
      assert.equal(fault.status, 500);
      assert.doesNotMatch(fault.text, /secret|node_modules/);
      for (const headers of [{}, { accept: '*/*' }, { accept: 'application/json' }, { accept: 'image/png' }])
        assert.equal((await serving.request('/nope', { headers })).json.status, 404);
      assert.equal((await browse('/nope.json?x')).json.status, 404, 'a path can request JSON, too');
    });

    it('escape what the page contains of the request', async () => {
      const { text } = await serving.request('/echo', { headers: { accept: 'text/html', 'x-say': '<script>"&' } });
      assert.ok(text.includes('<p>&lt;script&gt;&quot;&amp;</p>'), text);
      assert.ok(!text.includes('<script'));
    });

    it("answers with the status of Koa's own errors and their headers, unless they are invalid", async () => {
      const challenge = await serving.request('/challenge');
      assert.deepEqual([challenge.status, challenge.json.detail], [401, 'who are you?']);
      assert.equal(challenge.headers['www-authenticate'], 'Basic realm="shop", Bearer');
      assert.equal(challenge.headers['x-bad'], undefined);
      const busy = await serving.request('/busy');
      assert.deepEqual([busy.status, busy.headers['retry-after'], busy.headers['x-odd']], [503, '7', undefined]);
      assert.equal(serving.errors.length, 1, 'only a fault of the server is logged');
    });

    it('answers 503 while a server that it needs is away, whatever wraps that error, and logs it', async () => {
      for (const code of 'pool ECONNREFUSED ECONNRESET ENOTFOUND EAI_AGAIN 08006 53300 57P01 57P02'.split(' ')) {
        const { status, headers, text } = await serving.request(`/outage/${code}`);
        assert.deepEqual([status, headers['retry-after'], /10\.0/.test(text)], [503, '2', false], code);
        assert.equal(serving.errors.pop()?.error.message, 'the job failed');
      }
      for (const code of ['23505', '57014', 'ENOENT'])
        assert.equal((await serving.request(`/outage/${code}`)).status, 500, code);
    });

    for (const path of ['/boom', '/not-an-error', '/not-json']) {
      it(`answers ${path} with a 500 without details, and logs the error`, async () => {
        const { status, text, headers, json } = await serving.request(path);
        assert.equal(status, 500);
        assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
        for (const name of ['etag', 'cache-control', 'content-encoding', 'location'])
          assert.equal(headers[name], undefined, name);
        assert.deepEqual(Object.keys(json).sort(), ['requestId', 'status', 'title', 'type']);
        assert.doesNotMatch(text, /secret|node_modules|BigInt/);
        assert.equal(serving.errors.length, 1);
        assert.equal(serving.errors[0]?.requestId, headers['x-request-id']);
      });
    }

    it('closes the connection when a stream fails after the headers were sent', async () => {
      await assert.rejects(serving.request('/broken-stream'));
      await until('the error is reported', () => serving.errors.length === 1);
      await serving.request('/hello');
      assert.deepEqual(
        serving.errors.map(({ error }) => error.message),
        ['the disk is gone'],
      );
    });
  });

  describe('routing', () => {
    it('404 for an unknown path, and for a route that does not respond', async () => {
      for (const path of ['/nope', '/missing', '//', '/hello/x', '/%00', '/__proto__', '/constructor']) {
        const { status, json } = await serving.request(path);
        assert.deepEqual([status, json.title], [404, 'Not Found'], path);
      }
    });

    it('405 with Allow for a known path', async () => {
      const { status, headers, json } = await serving.request('/hello', { method: 'DELETE' });
      assert.equal(status, 405);
      assert.deepEqual(String(headers.allow).split(', ').sort(), ['GET', 'HEAD', 'OPTIONS', 'POST']);
      assert.equal(json.title, 'Method Not Allowed');
    });

    it('405 for a method that no route supports', async () => {
      assert.equal((await serving.request('/hello', { method: 'PROPFIND' })).status, 405);
      assert.equal((await serving.request('/nope', { method: 'PROPFIND' })).status, 404);
    });

    it('answers OPTIONS', async () => {
      const { status, headers, text } = await serving.request('/hello', { method: 'OPTIONS' });
      assert.deepEqual([status, text], [204, '']);
      assert.match(String(headers.allow), /GET/);
      assert.match(await serving.raw('OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 204 /);
      assert.equal((await serving.request('/nope', { method: 'OPTIONS' })).status, 404);
    });

    it('answers HEAD like GET without the body, errors included', async () => {
      for (const path of ['/hello', '/nope', '/boom', '/not-json', '/health']) {
        const head = await serving.request(path, { method: 'HEAD', headers: { 'x-request-id': 'same' } });
        const get = await serving.request(path, { headers: { 'x-request-id': 'same' } });
        assert.deepEqual([head.status, head.text], [get.status, ''], path);
        assert.equal(head.headers['content-type'], get.headers['content-type'], path);
      }
    });

    it('400 for broken percent-encoding', async () => {
      for (const path of ['/%', '/%zz', '/items/%E0%A4%A', '/%ff', '/health%']) {
        assert.equal((await serving.request(path)).status, 400, path);
      }
      assert.equal((await serving.request('/hello?x=%zz')).status, 200);
    });
  });

  it('takes the host from an absolute request target, whatever the Host header says', async () => {
    const text = await serving.raw('GET http://shop.example:81/whence HTTP/1.1\r\nHost: evil.example\r\n\r\n');
    assert.match(text, /"host":"shop\.example:81"/);
  });

  it('shows IPv4 addresses as such when it listens on IPv6', async () => {
    const wide = await Serving.start({
      host: '::',
      routes: (router) => void router.get('/', (ctx) => (ctx.body = ctx.ip)),
    });
    const { text } = await wide.request('/');
    await wide.stop();
    assert.equal(text, '127.0.0.1');
  });

  it('sends the security headers with every response', async () => {
    for (const path of ['/hello', '/nope', '/boom', '/health', '/%']) {
      const { headers } = await serving.request(path);
      const {
        'content-security-policy': policy,
        'x-frame-options': frames,
        'strict-transport-security': tls,
      } = headers;
      assert.match(String(policy), /^default-src 'none';(?:[a-z-]+ '(?:self|none)';?){9}$/, path);
      assert.deepEqual([frames, tls], ['DENY', 'max-age=31536000'], path);
      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.equal(headers['x-powered-by'], undefined, path);
    }
  });

  it('emits an event for every finished request', async () => {
    await serving.request('/hello?token=secret', { headers: { 'x-request-id': 'r2' } });
    await until('the event has been emitted', () => serving.finished.length === 1);
    const { durationMs, queuedMs, ...rest } = serving.finished[0] ?? assert.fail();
    assert.ok(durationMs >= queuedMs && queuedMs >= 0);
    const about = {
      requestId: 'r2',
      remoteAddress: '127.0.0.1',
      internal: false,
      shedReason: null,
      sqlCount: 0,
      sqlMs: 0,
    };
    assert.deepEqual(rest, { method: 'GET', path: '/hello', status: 200, ...about });
  });

  it('marks requests in the event that were answered internally', async () => {
    await serving.request('/health');
    await until('the event has been emitted', () => serving.finished.length === 1);
    assert.equal(serving.finished[0]?.internal, true);
  });
});
