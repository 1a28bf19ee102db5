import assert from 'node:assert/strict';
import { useSupervisorApp } from '../../cluster/primary/supervisor-app';
import { type Browser, launchBrowser, scrollsSideways, shoot, violations, wordsOf } from '../../support/browser';
import { request } from '../../support/http';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { SIGNED } from '../ops-web';
import { OperatorWindow } from './operator-window';

/**
 * Long enough for a blocked worker to be shown as unresponsive before it is killed, even if it serves the page, which has to
 * reconnect.
 */
const WORKER_TIMEOUT_MS = 14_000;

describe('the overview of a real tree, in a browser', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  let browser: Browser;
  let operator: OperatorWindow;
  before(async () => {
    const start = async () => {
      const env = {
        ...SIGNED,
        WEB_CONCURRENCY: '2',
        MEMORY_LIMIT_MB: '1024',
        WORKER_TIMEOUT: `${WORKER_TIMEOUT_MS}ms`,
      };
      tree = await app.start(env);
    };
    [browser] = await Promise.all([launchBrowser(), start()]);
    operator = await OperatorWindow.open(browser, tree);
  });
  after(async () => {
    await browser?.close();
  });

  let mend: () => void = () => undefined;
  afterEach(() => {
    mend();
    mend = () => undefined;
  });

  const verdict = () => wordsOf(operator.page.getByRole('heading', { level: 1 }));
  const allIsWell = () => until('all is well', async () => (await verdict()) === 'All is well');
  const events = (text: RegExp) => operator.page.locator('.events li', { hasText: text }).first().waitFor();

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
    const slow = Array.from({ length: 4 }, () => request(`${tree.baseUrl}/slow?ms=6000`));
    const inFlight = async () => {
      const counts = await operator.page.locator('[data-kind="worker"] .now').allTextContents();
      const pips = await operator.page.locator('[data-kind="worker"] .pips > .on').count();
      return counts.map(Number).reduce((sum, count) => sum + count, 0) === 4 && pips === 4;
    };
    await until('four are in flight', inFlight);
    await Promise.all(slow);
    await until('none is', async () => (await operator.page.locator('[data-kind="worker"] .pips > .on').count()) === 0);
  });

  it('shows that a worker was killed, why it cannot restart, and that it is back', async () => {
    mend = app.switchOn('broken');
    const pid = await operator.pidOf('worker-1');
    process.kill(pid, 'SIGKILL');
    await operator.waitForCard('worker-1', {
      tone: 'bad',
      phase: 'restarting',
      say: /It died at boot: .*a broken deploy/,
    });
    await operator.page.locator('.verdict[data-state="bad"]').waitFor();
    const issue = operator.page.locator('.issues li', { hasText: 'Worker 1 restarts' });
    await issue.waitFor();
    assert.equal(await issue.getByRole('link').getAttribute('href'), '/ops/processes#worker-1');
    await events(/Worker 1 \(pid \d+\) was killed by SIGKILL/);
    await shoot(operator.page, 'overview-restarting');
    assert.deepEqual(await violations(operator.page), []);
    mend();
    await operator.waitForCard('worker-1', { tone: 'ok', phase: 'ready' });
    await allIsWell();
    assert.notEqual(await operator.pidOf('worker-1'), pid);
  });

  it('shows a worker whose event loop is blocked, and why it was killed', async () => {
    mend = app.switchOn('slow-boot');
    request(`${tree.baseUrl}/block`).catch(() => undefined);
    const silent = operator.page.locator('[data-kind="worker"]', {
      has: operator.page.locator('.phase', { hasText: 'unresponsive' }),
    });
    await silent.waitFor();
    const say = operator.page.locator('[data-kind="worker"] .say', {
      hasText: /Loop blocked for .* in GET \/block\. Killed\./,
    });
    await say.waitFor();
    mend();
    await allIsWell();
    assert.deepEqual(operator.troubles, []);
  });

  it('shows that the connection is lost, then that the state is unknown', async () => {
    const { page } = operator;
    await page.clock.install();
    await operator.goto('/ops');
    await page.locator('#live[data-state="ok"]').waitFor();
    // Only a stream that has sent something can be missed.
    await page.evaluate(
      "new Promise((heard) => document.addEventListener('live:parts', () => heard(true), { once: true }))",
    );
    await page.route('**/ops/events', (route) => route.abort());
    // No stream can be opened: first the page says that it is not live, then what it shows becomes unknown.
    await page.clock.fastForward(5000);
    await page.locator('#live[data-state="unknown"]').waitFor();
    await operator.waitForCard('worker-0', { tone: 'ok' });
    await page.clock.fastForward(11_000);
    await operator.waitForCard('worker-0', { tone: 'unknown' });
    assert.equal(await operator.card('worker-0').locator('.now').textContent(), '–');
    await page.unroute('**/ops/events');
    await page.clock.fastForward(11_000);
    await operator.waitForCard('worker-0', { tone: 'ok', phase: 'ready' });
  });

  it('shows the history as charts with uPlot, and as a table', async () => {
    const figures = async () => {
      await operator.goto('/ops?range=10m');
      return (await operator.page.locator('.chart .uplot canvas').count()) >= 6;
    };
    await until('there are figures', figures, { everyMs: 1000 });
    await operator.page.getByText('Numbers as a table').click();
    const header = operator.page.locator('details thead');
    assert.match(
      await wordsOf(header),
      /Requests requests \/(?:s|min).*Response time p99 ms.*Queue latency default s.*Memory MB/,
    );
    assert.ok((await operator.page.locator('details tbody tr').count()) >= 1);
    await shoot(operator.page, 'overview-charts');
    assert.deepEqual(await violations(operator.page), []);
    assert.deepEqual(operator.troubles, []);
  });

  it('never scrolls sideways, from 320 px up, and is available in Korean', async () => {
    for (const path of ['/ops?locale=ko', '/ops/processes', '/ops/processes/restart']) {
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
    await operator.page.setViewportSize({ width: 1280, height: 900 });
    await operator.goto('/ops');
    assert.equal(await verdict(), '모두 정상입니다');
    await shoot(operator.page, 'overview.ko');
    await operator.goto('/ops?locale=en');
  });
});
