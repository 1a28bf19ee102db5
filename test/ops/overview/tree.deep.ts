import assert from 'node:assert/strict';
import { useSupervisorApp } from '../../cluster/primary/supervisor-app';
import { launchBrowser, scrollsSideways, violations, wordsOf } from '../../support/browser';
import { request } from '../../support/http';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { SIGNED } from '../ops-web';
import { OperatorWindow } from './operator-window';

describe('the overview of a real tree, in a browser', () => {
  const app = useSupervisorApp();
  const tree = inSuite(undefined, () => app.start({ ...SIGNED, WEB_CONCURRENCY: '2', MEMORY_LIMIT_MB: '1024' }));
  const browser = inSuite('close', launchBrowser);
  const operator = inSuite(undefined, () => OperatorWindow.open(browser, tree));

  const verdict = () => wordsOf(operator.page.getByRole('heading', { level: 1 }));
  const allIsWell = () => until('all is well', async () => (await verdict()) === 'All is well');
  const event = (text: RegExp) => operator.page.locator('.events li', { hasText: text }).first().waitFor();

  it('shows every process, updates live and is accessible', async () => {
    for (const id of ['worker-0', 'worker-1', 'jobs']) await operator.waitForCard(id, { tone: 'ok', phase: 'ready' });
    await operator.waitForCard('primary', { tone: 'ok', say: /sends to 2 of 2 workers/ });
    await operator.page.locator('#live[data-state="ok"]').waitFor();
    const time = operator.page.locator('#live time');
    const first = await time.textContent();
    await until('the page has been updated', async () => (await time.textContent()) !== first);
    assert.deepEqual(await violations(operator.page), []);
  });

  it('shows requests in flight', async () => {
    const slow = Array.from({ length: 4 }, () => request(`${tree.baseUrl}/slow?ms=4000`));
    const pips = () => operator.page.locator('[data-kind="worker"] .pips > .on').count();
    await until('four are in flight', async () => (await pips()) === 4);
    await Promise.all(slow);
    await until('none is', async () => (await pips()) === 0);
  });

  it('shows that a worker was killed, why it cannot restart, and that it is back', async () => {
    const mend = app.switchOn('broken');
    const pid = await operator.pidOf('worker-1');
    process.kill(pid, 'SIGKILL');
    await operator.waitForCard('worker-1', {
      tone: 'bad',
      phase: 'restarting',
      say: /died at boot: .*a broken deploy/,
    });
    const issue = operator.page.locator('.issues li', { hasText: 'Worker 1 restarts' });
    await issue.waitFor();
    assert.equal(await issue.getByRole('link').getAttribute('href'), '#p-worker-1');
    await event(/Worker 1 \(pid \d+\) was killed by SIGKILL/);
    mend();
    await operator.waitForCard('worker-1', { tone: 'ok', phase: 'ready' });
    await allIsWell();
    assert.notEqual(await operator.pidOf('worker-1'), pid);
  });

  it('adds and removes a worker without reloading the page', async () => {
    await operator.goto('/ops');
    assert.deepEqual(await violations(operator.page), []);
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

  it('keeps showing the workers while all are restarted', async () => {
    const pids = () => Promise.all(['worker-0', 'worker-1', 'jobs'].map((id) => operator.pidOf(id)));
    const before = await pids();
    await operator.page.getByRole('link', { name: 'Restart workers' }).click();
    assert.equal(await operator.page.locator('.selected li').count(), 2);
    await operator.confirm(/Restart 2 workers of/, 'Restart 2 workers');
    await event(/Phased restart to phase 1 completed/);
    await allIsWell();
    // The event may be shown before the cards are updated.
    await until('each card shows a new process', async () => (await pids()).every((pid, i) => pid !== before[i]));
    assert.deepEqual(operator.troubles, []);
  });

  it('works without JavaScript, commands included', async () => {
    const plain = await OperatorWindow.open(browser, tree, { javaScriptEnabled: false });
    await plain.waitForCard('worker-0', { tone: 'ok', phase: 'ready' });
    const pid = await plain.pidOf('worker-1');
    await plain.page.locator('#p-worker-1').getByRole('link', { name: 'Recycle' }).click();
    await plain.confirm(/Recycle worker 1/, 'Recycle worker 1');
    const replaced = async () => {
      await plain.goto('/ops');
      const words = (await plain.card('worker-1').allTextContents()).join(' ');
      // A static page may have been rendered just when the slot was empty.
      return /pid \d+/.test(words) && !words.includes(`pid ${pid}`);
    };
    await until('another worker serves in its place', replaced, { everyMs: 500 });
    await plain.close();
    await event(/Recycle worker 1 requested by operator 127\.0\.0\.1/);
  });

  it('never scrolls sideways on a wider window, whatever the length of a word', async () => {
    for (const path of ['/ops?locale=ko', '/ops?locale=en']) {
      await operator.goto(path);
      await operator.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
      // The output of a process, or a path, may be one long word.
      const longest =
        "for (const one of document.querySelectorAll(':is(h1, .say, .verdict-line p, .events li > span, .hint, .sub)'))";
      await operator.page.evaluate(`${longest} one.textContent += 'x'.repeat(120)`);
      for (const width of [320, 640, 900, 1280, 2000]) {
        await operator.page.setViewportSize({ width, height: 900 });
        assert.equal(await scrollsSideways(operator.page), false, `${path} at ${width} px`);
      }
    }
  });
});
