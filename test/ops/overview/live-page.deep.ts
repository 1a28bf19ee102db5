import assert from 'node:assert/strict';
import { TREES, treeStatusKey } from '../../../lib/tree/keys';
import { launchBrowser, WatchedPage } from '../../support/browser';
import { useRedis } from '../../support/stores';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { BEARER, OpsWeb } from '../ops-web';
import { treeStatusOf, workerOf } from './tree-statuses';

const PAGE = '/ops?tree=far';

describe('a live page', () => {
  const ops = inSuite('stop', () => OpsWeb.start());
  const redis = useRedis(() => ops.redis.url);
  const browser = inSuite('close', launchBrowser);

  /** Publishes the status of another tree. @param pids of its workers. */
  const tell = async (...pids: number[]) => {
    const workers = pids.map((pid, index) => workerOf(index, { pid, lastCheckin: new Date().toISOString() }));
    const treeStatus = treeStatusOf({ id: 'far', at: new Date().toISOString(), workers });
    await redis.client.set(treeStatusKey('far'), JSON.stringify(treeStatus));
    // A heartbeat far in the future, so that the tree does not become unresponsive during the test.
    await redis.client.zAdd(TREES, { value: 'far', score: Date.now() + 3_600_000 });
  };

  it('shows workers that come, change and go, and keeps the focus', async () => {
    await tell(111);
    const { page } = await WatchedPage.open(browser, { baseURL: ops.url, extraHTTPHeaders: BEARER });
    await until('the tree is known', async () => (await page.goto(PAGE))?.status() === 200);
    const pid = (slot: number, of: number) =>
      page.locator(`#p-worker-${slot} > .node .say`, { hasText: `pid ${of}` }).waitFor();
    await pid(0, 111);
    await tell(111, 222);
    await pid(1, 222);
    const link = page.locator('#p-worker-0 > .node a');
    await link.focus();
    await tell(333, 222);
    await pid(0, 333);
    assert.equal(await link.evaluate((element) => element === element.ownerDocument.activeElement), true);
    await link.blur();
    await tell(333);
    await page.locator('#p-worker-1').waitFor({ state: 'detached' });
    await page.context().close();
  });

  it('shows that the connection is lost, then that the state is unknown', async () => {
    await tell(111);
    const { page } = await WatchedPage.open(browser, { baseURL: ops.url, extraHTTPHeaders: BEARER });
    await page.clock.install();
    await until('the tree is known', async () => (await page.goto(PAGE))?.status() === 200);
    await page.locator('#live[data-state="ok"]').waitFor();
    // Only a stream that has sent something can be missed.
    await page.evaluate(
      "new Promise((heard) => document.addEventListener('live:parts', () => heard(true), { once: true }))",
    );
    const card = (state: string) => page.locator(`#p-worker-0[data-state="${state}"] > .node`);
    await page.route('**/ops/events?tree=far', (route) => route.abort());
    // No stream can be opened: first the page says that it is not live, then what it shows becomes unknown.
    await page.clock.fastForward(5000);
    await page.locator('#live[data-state="unknown"]').waitFor();
    await card('ok').waitFor();
    await page.clock.fastForward(11_000);
    assert.equal(await card('unknown').locator('.now').textContent(), '–');
    await page.unroute('**/ops/events?tree=far');
    await page.clock.fastForward(11_000);
    await card('ok').waitFor();
    await page.context().close();
  });

  it('reconnects when its event stream was refused', async () => {
    await tell(111);
    const streams = [];
    while (streams.length < 50) streams.push(await ops.stream());
    for (const { answer } of streams) assert.equal(answer.statusCode, 200);
    const { page } = await WatchedPage.open(browser, { baseURL: ops.url, extraHTTPHeaders: BEARER });
    await page.clock.install();
    const refused = page.waitForResponse((answer) => answer.url().includes('/ops/events') && answer.status() === 503);
    await page.goto('/ops');
    await refused;
    await page.locator('#live[data-state="unknown"]').waitFor();
    for (const stream of streams) stream.close();
    await until('it is live', async () => {
      await page.clock.fastForward(10_000);
      return (await page.locator('#live[data-state="ok"]').count()) === 1;
    });
    await page.context().close();
  });
});
