import assert from 'node:assert/strict';
import { waitedSinceRouter } from '../../lib/web/shed-stale';
import { Serving } from './serving';

describe('X-Request-Start', () => {
  const now = 1_790_000_000_000;

  it('is parsed in the formats of Heroku, nginx and others', () => {
    assert.equal(waitedSinceRouter(String(now - 1500), now), 1500);
    assert.equal(waitedSinceRouter('t=1789999998.000', now), 2000);
    assert.equal(waitedSinceRouter('t=1789999998', now), 2000);
    assert.equal(waitedSinceRouter(`${(now - 3000) * 1000}`, now), 3000);
  });

  it('is ignored when it is implausible', () => {
    for (const header of ['', 'soon', '-5', '1e99', String(now + 5000), '0', 't=', '17900000000001790000000']) {
      assert.equal(waitedSinceRouter(header, now), 0, header);
    }
  });

  it("older than the router's timeout gets 503 at once, without calling the route, except for /health", async () => {
    let calls = 0;
    const serving = await Serving.start({
      trustProxy: { hops: 1 },
      routes: (router) => {
        router.get('/work', (ctx) => {
          calls++;
          ctx.body = 'done';
        });
      },
    });
    const at = (ageMs: number) => ({ headers: { 'x-request-start': String(Date.now() - ageMs) } });
    const stale = await serving.request('/work', at(31_000));
    assert.deepEqual([stale.status, stale.headers['retry-after'], calls], [503, '2', 0]);
    assert.equal((await serving.request('/work', at(5_000))).status, 200);
    assert.equal((await serving.request('/health', at(31_000))).status, 200);
    assert.equal(calls, 1);
    await serving.stop();
  });
});
