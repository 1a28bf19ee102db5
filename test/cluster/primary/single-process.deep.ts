import assert from 'node:assert/strict';
import { useSupervisorApp } from './supervisor-app';

describe('a tree that serves the web in its primary', () => {
  const app = useSupervisorApp();

  it('survives an unhandled rejection in a route, and logs it with the request id', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '0' });
    const { status } = await tree.request('GET', '/stray', { headers: { 'x-request-id': 'stray-1' } });
    assert.equal(status, 200);
    const { text } = await tree.waitForLine(/uncaught: a stray rejection/);
    assert.match(text, /"requestId":"stray-1"/);
    for (let n = 0; n < 3; n++) assert.equal((await tree.request('GET', '/stray')).status, 200);
    assert.equal((await tree.request('GET', '/slow')).status, 200);
    assert.equal((await tree.stop()).code, 0);
  });

  it("logs the error of the app's workerBoot, as workers and the job processor do", async () => {
    const mend = app.switchOn('own-boot');
    for (const [WEB_CONCURRENCY, only] of [
      ['0', 'web'],
      ['1', 'web'],
      ['0', 'jobs'],
    ] as const) {
      const tree = app.spawn({ WEB_CONCURRENCY }, { args: ['--only', only] });
      await tree.waitForLine(new RegExp(`the pool of ${only} is broken`));
      await tree.stop();
    }
    mend();
  });

  it("lets the app's workerStop enqueue a job, as workers and the job processor do", async () => {
    const mend = app.switchOn('last-job');
    for (const WEB_CONCURRENCY of ['0', '1']) {
      const tree = await app.start({ WEB_CONCURRENCY });
      await tree.waitForLine(/job processor \(pid \d+\) is ready/);
      assert.equal((await tree.stop()).code, 0);
      const jobs = await app.database.query(`delete from job_queue returning payload #>> '{args,0}' as role`);
      assert.deepEqual(jobs.map(({ role }) => role).sort(), ['jobs', 'web']);
    }
    mend();
  });

  it("stops although the app's workerStop hangs, and names it in the log", async () => {
    const mend = app.switchOn('own-stop');
    for (const WEB_CONCURRENCY of ['0', '1']) {
      const tree = await app.start({ WEB_CONCURRENCY, SHUTDOWN_TIMEOUT: '3s' });
      await tree.waitForLine(/job processor \(pid \d+\) is ready/);
      await tree.stop();
      await tree.waitForLine(/stopped in/);
      const named = tree.linesMatching(/workerStop of defineApp did not end in time/).map(({ json }) => json.process);
      assert.deepEqual(named.sort(), ['jobs', WEB_CONCURRENCY === '0' ? 'primary' : 'web.0']);
    }
    mend();
  });
});
