import assert from 'node:assert/strict';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { Serving } from './serving';

const head = 'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';

/** By name: each may get at most one response, which must be an error. */
const SMUGGLED_REQUESTS: Readonly<Record<string, string>> = {
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
  'two hosts': 'GET /admin HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'the same host twice': 'GET /admin HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
  'an empty host': 'GET /admin HTTP/1.1\r\nHost:\r\n\r\n',
  'a host with a path': 'GET /admin HTTP/1.1\r\nHost: a/b\r\n\r\n',
  'a host with a name': 'GET /admin HTTP/1.1\r\nHost: ann@a\r\n\r\n',
  'an absolute target with a name': 'GET http://ann@a/admin HTTP/1.1\r\nHost: a\r\n\r\n',
  'transfer codings that it does not know': `${head}Transfer-Encoding: x_gzip, gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n${smuggled}`,
  'no HTTP at all': '\u0016\u0003\u0001 hello\r\n\r\n',
  'a NUL in a header': 'GET /admin HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n',
};

/** Requests that must not get past the parser, and get no more than one response. */
describe('raw requests', () => {
  let calls = 0;

  const serving = inSuite('stop', () =>
    Serving.start({
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
    }),
  );
  beforeEach(() => {
    calls = 0;
  });

  for (const [name, bytes] of Object.entries(SMUGGLED_REQUESTS)) {
    it(`are rejected: ${name}`, async () => {
      const text = await serving.raw(bytes);
      assert.match(text, /^HTTP\/1\.1 4\d\d /);
      assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1);
      assert.equal(calls, 0);
    });
  }

  it('leave the server working, and no errors', async () => {
    assert.equal((await serving.request('/admin')).status, 200);
    assert.deepEqual(serving.errors, []);
    await until('nothing is in flight', () => serving.limit.snapshot().inFlight === 0);
  });
});
