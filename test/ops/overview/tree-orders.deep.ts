import assert from 'node:assert/strict';
import { useSupervisorApp } from '../../cluster/primary/supervisor-app';
import { type Browser, launchBrowser, shoot, violations, wordsOf } from '../../support/browser';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { SIGNED } from '../ops-web';
import { OperatorWindow } from './operator-window';

describe('commands to a real tree, in a browser:', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  let browser: Browser;
  let operator: OperatorWindow;
  before(async () => {
    const start = async () => {
      tree = await app.start({ ...SIGNED, WEB_CONCURRENCY: '2', MEMORY_LIMIT_MB: '1024' });
    };
    [browser] = await Promise.all([launchBrowser(), start()]);
    operator = await OperatorWindow.open(browser, tree);
  });
  after(async () => {
    await browser?.close();
  });

  const verdict = () => wordsOf(operator.page.getByRole('heading', { level: 1 }));
  const allIsWell = () => until('all is well', async () => (await verdict()) === 'All is well');
  const events = (text: RegExp) => operator.page.locator('.events li', { hasText: text }).first().waitFor();

  it('one worker is recycled', async () => {
    const pid = await operator.pidOf('worker-0');
    await operator.card('worker-0').getByRole('link').click();
    await operator.page.waitForURL(/\/ops\/processes#worker-0$/);
    await shoot(operator.page, 'processes');
    assert.deepEqual(await violations(operator.page), []);
    await operator.page.locator('#worker-0').getByRole('link', { name: 'Recycle' }).click();
    await operator.confirm(/Recycle worker 0 of/, 'Recycle worker 0');
    await operator.page.getByText(/Worker 0 of .* is being replaced/).waitFor();
    await until('another worker serves in its place', async () => (await operator.pidOf('worker-0')) !== pid);
    await events(/Worker 0 \(pid \d+\) is being replaced \(requested\)/);
    await events(/Recycle worker 0 requested by an operator \(127\.0\.0\.1\)/);
    await tree.waitForLine(/recycle 0 requested by the operator's pages, 127\.0\.0\.1/);
  });

  it('a worker is added and removed, without reloading the page', async () => {
    await operator.goto('/ops/processes');
    await operator.page.getByRole('link', { name: 'Add a worker' }).click();
    await operator.confirm(/Add a worker to/, 'Add worker 2');
    await operator.page.evaluate('window.same = true');
    await operator.waitForCard('worker-2', { tone: 'ok', phase: 'ready' });
    assert.equal(await operator.page.evaluate('window.same'), true);
    await operator.goto('/ops/processes/remove');
    assert.match(await wordsOf(operator.page.locator('.selected')), /Worker 2\s*idle/);
    await operator.confirm(/Remove worker 2 of/, 'Remove worker 2');
    await operator.card('worker-2').waitFor({ state: 'detached' });
    await tree.waitForLine(/worker-count-down requested by the operator's pages/);
  });

  it('jobs are quieted and resumed', async () => {
    await operator.goto('/ops/processes/quiet');
    await operator.confirm(/Quiet the jobs of/, 'Quiet jobs');
    await operator.waitForCard('jobs', { tone: 'warn', phase: 'quiet' });
    await operator.page.locator('.issues li', { hasText: 'Jobs are quiet' }).waitFor();
    await operator.goto('/ops/processes/resume');
    await operator.confirm(/Resume the jobs of/, 'Resume jobs');
    await operator.waitForCard('jobs', { tone: 'ok', phase: 'ready' });
    await allIsWell();
  });

  it('all workers are restarted while the page keeps showing them', async () => {
    const pids = [await operator.pidOf('worker-0'), await operator.pidOf('worker-1'), await operator.pidOf('jobs')];
    await operator.page.getByRole('link', { name: 'Restart workers' }).click();
    assert.equal(await operator.page.locator('.selected li').count(), 2);
    await shoot(operator.page, 'confirm-restart');
    assert.deepEqual(await violations(operator.page), []);
    await operator.confirm(/Restart 2 workers of/, 'Restart 2 workers');
    await events(/Phased restart to phase 1 completed/);
    await allIsWell();
    // The event may be shown before the cards are updated.
    await until('each card shows a new process', async () => {
      const now = [await operator.pidOf('worker-0'), await operator.pidOf('worker-1'), await operator.pidOf('jobs')];
      return now.every((pid, i) => pid !== pids[i]) || assert.fail(`${pids} ${now}`);
    });
  });

  it('an impossible command is rejected with an explanation', async () => {
    await operator.goto('/ops/processes/remove');
    await operator.confirm(/Remove worker 1 of/, 'Remove worker 1');
    await operator.card('worker-1').waitFor({ state: 'detached' });
    const answer = await operator.page.goto(`${tree.baseUrl}/ops/processes/remove`);
    assert.equal(answer?.status(), 409);
    await operator.page.getByText('The tree has changed since the page was shown').waitFor();
    await operator.goto('/ops/processes/add');
    await operator.confirm(/Add a worker/, 'Add worker 1');
    await operator.waitForCard('worker-1', { tone: 'ok', phase: 'ready' });
  });

  it('everything works without JavaScript, commands included', async () => {
    const plain = await OperatorWindow.open(browser, tree, { javaScriptEnabled: false });
    const figures = async () => {
      await plain.goto('/ops?range=10m');
      return (await plain.page.locator('details[open] tbody tr').count()) >= 1;
    };
    await until('the open table has figures', figures, { everyMs: 500 });
    await plain.waitForCard('worker-0', { tone: 'ok', phase: 'ready' });
    const pid = await plain.pidOf('worker-1');
    await plain.goto('/ops/processes');
    await plain.page.locator('#worker-1').getByRole('link', { name: 'Recycle' }).click();
    await plain.confirm(/Recycle worker 1/, 'Recycle worker 1');
    const replaced = async () => {
      await plain.goto('/ops');
      const words = (await plain.card('worker-1').allTextContents()).join(' ');
      // A static page may have been rendered just when the slot was empty.
      return /pid \d+/.test(words) && !words.includes(`pid ${pid}`);
    };
    await until('another worker serves in its place', replaced, { everyMs: 500 });
    await plain.close();
  });
});
