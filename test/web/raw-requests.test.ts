import assert from 'node:assert/strict';
import { SMUGGLED_REQUESTS } from '../support/smuggled-requests';
import { until } from '../support/until';
import { Serving } from './serving';

/** Requests that must not get past the parser, and get no more than one response. */
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
