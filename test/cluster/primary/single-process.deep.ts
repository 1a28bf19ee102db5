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

  it("is told by the app's workerBoot that it cannot serve, as a web with workers and the job processor are", async () => {
    const mend = stage.spoil('own-boot');
    for (const [WEB_CONCURRENCY, only] of [
      ['0', 'web'],
      ['1', 'web'],
      ['0', 'jobs'],
    ] as const) {
      const tree = stage.spawn({ WEB_CONCURRENCY }, { args: ['--only', only] });
      await tree.waitForLine(new RegExp(`the pool of ${only} is broken`));
      await tree.stop();
    }
    mend();
  });

  it("stops without the app's workerStop where that hangs, and names it", async () => {
    const mend = stage.spoil('own-stop');
    for (const WEB_CONCURRENCY of ['0', '1']) {
      const tree = await stage.start({ WEB_CONCURRENCY, SHUTDOWN_TIMEOUT: '3s' });
      await tree.waitForLine(/job processor \(pid \d+\) is ready/);
      await tree.stop();
      await tree.waitForLine(/stopped in/);
      const named = tree.linesMatching(/workerStop of defineApp did not end in time/).map(({ json }) => json.process);
      assert.deepEqual(named.sort(), ['jobs', WEB_CONCURRENCY === '0' ? 'primary' : 'web.0']);
    }
    mend();
  });
});
