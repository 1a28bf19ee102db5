import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Serving } from './serving';

/** What must never get past the parser, and never more than one answer's worth. */
describe('raw requests', () => {
  let serving: Serving;
  let calls = 0;

  before(async () => {
    serving = await Serving.start({
      routes(router) {
        router.post('/users', (ctx) => {
          calls++;
          ctx.body = 'ok';
        });
        router.get('/admin', (ctx) => {
          calls++;
          ctx.body = 'smuggled';
        });
      },
    });
  });
  after(() => serving.stop());
  beforeEach(() => {
    calls = 0;
  });

  const head = 'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
  const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
  const refused: Readonly<Record<string, string>> = {
    'both lengths (CL.TE)': `${head}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'two lengths': `${head}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}${smuggled}`,
    'a list of lengths': `${head}Content-Length: 2, 40\r\n\r\n{}${smuggled}`,
    'a signed length': `${head}Content-Length: +2\r\n\r\n{}${smuggled}`,
    'a length too long': `${head}Content-Length: 99999999999999999999999\r\n\r\n{}`,
    'an odd transfer coding': `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'a transfer coding after chunked': `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    'a blank before the colon': `${head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'a folded header': `${head}X: a\r\n b\r\nContent-Length\r\n : 2\r\n\r\n{}`,
    'an odd chunk size': `${head}Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n`,
    'no host': 'GET /admin HTTP/1.1\r\n\r\n',
    'no HTTP at all': '\u0016\u0003\u0001 hello\r\n\r\n',
    'a NUL in a header': 'GET /admin HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n',
  };
  for (const [name, bytes] of Object.entries(refused)) {
    it(`refuses ${name}`, async () => {
      const text = await serving.raw(bytes);
      assert.match(text, /^HTTP\/1\.1 4\d\d /);
      assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1);
      assert.equal(calls, 0);
    });
  }

  it('431 for huge headers', async () => {
    const text = await serving.raw(`GET /admin HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 431 /);
    assert.equal(calls, 0);
  });

  it('is alive and silent after all of that', async () => {
    assert.equal((await serving.request('/admin')).status, 200);
    assert.deepEqual(serving.errors, []);
    await until('nothing is in flight', () => serving.limit.snapshot().inFlight === 0);
  });
});
