import assert from 'node:assert/strict';
import { TREES } from '../../../lib/tree/keys';
import { useSupervisorApp } from '../../cluster/primary/supervisor-app';
import { launchBrowser, wordsOf } from '../../support/browser';
import { useRedis } from '../../support/stores';
import { inSuite } from '../../support/suite';
import { SIGNED } from '../ops-web';
import { OperatorWindow } from './operator-window';

describe('several trees on one Redis, in a browser', () => {
  const app = useSupervisorApp();
  const redis = useRedis(() => app.redis.url);
  const browser = inSuite('close', launchBrowser);
  const first = inSuite(undefined, () => start({ DYNO: 'web.1' }));
  const second = inSuite(undefined, () => start({ DYNO: 'web.2' }));
  let operator: OperatorWindow;
  const start = (env: Readonly<Record<string, string>>) =>
    app.start({ ...SIGNED, WEB_CONCURRENCY: '1', MEMORY_LIMIT_MB: '1024', ...env });

  before(async () => {
    operator = await OperatorWindow.open(browser, first);
  });

  beforeEach(() => operator.goto('/ops'));

  const tab = (name: string) =>
    operator.page.locator('.dynos li', { has: operator.page.getByText(name, { exact: false }) });
  const look = (name: string) => tab(name).getByRole('link').click();

  it('are both listed, and each is shown when it is selected', async () => {
    for (const name of ['web.1', 'web.2']) await tab(name).waitFor();
    assert.equal(await wordsOf(operator.page.locator('#tree-h')), 'Tree web.1');
    const own = await operator.pidOf('primary');
    await look('web.2');
    await operator.page.waitForURL(/\?tree=/);
    assert.equal(await wordsOf(operator.page.locator('#tree-h')), 'Tree web.2');
    assert.deepEqual([own, await operator.pidOf('primary')], [first.pid, second.pid]);
    await operator.waitForCard('jobs', { tone: 'ok', phase: 'ready' });
  });

  it('get only the commands that are meant for them', async () => {
    await look('web.2');
    await operator.page.waitForURL(/\?tree=/);
    await operator.page.getByRole('link', { name: 'Quiet jobs' }).click();
    await operator.confirm(/Quiet the jobs of web\.2\?/, 'Quiet jobs');
    await operator.waitForCard('jobs', { tone: 'warn', phase: 'quiet' });
    await second.waitForLine(/jobs quiet requested by the operator's pages, 127\.0\.0\.1/);
    await operator.goto('/ops');
    await operator.waitForCard('jobs', { tone: 'ok', phase: 'ready' });
    await operator.page.locator('.issues li', { hasText: 'Tree web.2:' }).waitFor();
    await look('web.2');
    await operator.page.getByRole('link', { name: 'Resume jobs' }).click();
    await operator.confirm(/Resume the jobs of web\.2\?/, 'Resume jobs');
    await operator.waitForCard('jobs', { tone: 'ok', phase: 'ready' });
    assert.deepEqual(first.linesMatching(/requested by/), []);
  });

  it('may run jobs only', async () => {
    const jobs = app.spawn({ ...SIGNED, DYNO: 'worker.1' }, { args: ['--only', 'jobs'] });
    await tab('worker.1').getByText('jobs only').waitFor();
    await look('worker.1');
    await operator.waitForCard('jobs', { tone: 'ok', phase: 'ready' });
    assert.equal(await operator.page.locator('[data-kind="worker"]').count(), 0);
    assert.equal((await jobs.stop()).code, 0);
    await operator.page.getByRole('heading', { name: 'This tree is gone' }).waitFor();
    await operator.goto('/ops');
    await tab('worker.1').waitFor({ state: 'detached' });
  });

  it('disappear at once when they stop, and half a minute after they were killed, grey until then', async () => {
    const third = await start({ DYNO: 'web.3' });
    await tab('web.3').waitFor();
    assert.equal((await third.stop()).code, 0);
    await tab('web.3').waitFor({ state: 'detached' });

    const { primary, webPids, jobs } = second.processes();
    for (const pid of [primary, ...webPids, jobs]) if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await operator.page.locator('.dynos li[data-state="unknown"]', { hasText: 'web.2' }).waitFor();
    await operator.page.locator('.issues li', { hasText: 'Tree web.2 is unresponsive' }).waitFor();
    await look('web.2');
    await operator.page.locator('#p-worker-0[data-state="unknown"][data-line="dashed"]').waitFor();
    // Half a minute passes: the heartbeat in Redis is made that much older.
    const id = new URL(operator.page.url()).searchParams.get('tree') ?? assert.fail('no tree was chosen');
    await redis.client.zIncrBy(TREES, -30_000, id);
    await operator.page.getByRole('heading', { name: 'This tree is gone' }).waitFor();
    await operator.goto('/ops');
    await operator.waitForCard('worker-0', { tone: 'ok', phase: 'ready' });
    assert.equal(await operator.page.locator('.dynos li').count(), 0);
    assert.deepEqual(operator.troubles, []);
  });
});
