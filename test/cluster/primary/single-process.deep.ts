import assert from 'node:assert/strict';
import { Stage } from './stage';

describe('a web without workers', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it('goes on after a rejection that a route has left alone, which the log tells with its request', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '0' });
    const { status } = await tree.request('GET', '/stray', { headers: { 'x-request-id': 'stray-1' } });
    assert.equal(status, 200);
    const { text } = await tree.waitForLine(/uncaught: a stray rejection/);
    assert.match(text, /"requestId":"stray-1"/);
    for (let n = 0; n < 3; n++) assert.equal((await tree.request('GET', '/stray')).status, 200);
    assert.equal((await tree.request('GET', '/slow')).status, 200);
    assert.equal((await tree.stop()).code, 0);
  });
});
