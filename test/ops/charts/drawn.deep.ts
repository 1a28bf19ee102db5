import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { NONE_SLOW } from '../../../lib/core/request-counts';
import { Deadline } from '../../../lib/support/deadline';
import { BOUNDS_MS } from '../../../lib/support/histogram';
import { TREES, treeStatusKey } from '../../../lib/tree/keys';
import { writeRollup } from '../../../lib/tree/time-series';
import { type Browser, colourIn, launchBrowser, violations, WatchedPage } from '../../support/browser';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';
import { BEARER, OpsWeb } from '../ops-web';
import { treeStatusOf } from '../overview/tree-statuses';
import { viewOf } from '../page-view';

const PAGE = '/ops?tree=far&range=10m';
const STEP_MS = 10_000;
/** The colour of the first series in light mode. */
const BUSY = [0x2f, 0x6b, 0xd8];

describe('charts in a browser', () => {
  let ops: OpsWeb;
  let redis: Redis;
  let browser: Browser;
  let number = 0;
  const begun = Math.floor(Date.now() / STEP_MS) * STEP_MS;

  /** Writes a rollup of the tree. @param ago its age, in steps of ten seconds. */
  const write = (ago: number, requests: number, memory: Readonly<Record<string, number>>) => {
    const sums = { requests, serverErrors: 0, shed: 0, processed: 3, failed: 0 };
    const counts = BOUNDS_MS.map((bound) => (bound === 25 ? requests : 0));
    const rollup = { sums, duration: counts, queued: counts, slowest: NONE_SLOW, memory };
    number += 1;
    return writeRollup(
      redis.client,
      { id: 'far', place: 'here' },
      { number, at: begun - ago * STEP_MS, ...rollup },
      {},
    );
  };

  before(async () => {
    [ops, browser] = await Promise.all([OpsWeb.start(), launchBrowser()]);
    redis = new Redis(ops.redis.url, new Events());
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
    const status = treeStatusOf({ id: 'far', at: new Date().toISOString() });
    await redis.client.set(treeStatusKey('far'), JSON.stringify(status));
    // A heartbeat far in the future, so that the tree does not become unresponsive during the test.
    await redis.client.zAdd(TREES, { value: 'far', score: Date.now() + 3_600_000 });
    for (let ago = 30; ago > 20; ago--)
      await write(ago, 100, { primary: 30, 'worker 0': 80, 'worker 1': 20, jobs: 70 });
    await write(15, 50, { primary: 30, 'worker 0': 80, 'worker 1': 20, jobs: 70 });
  });
  after(async () => {
    await browser?.close();
    await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
    await ops?.stop();
  });

  const open = async (javaScriptEnabled = true) => {
    const watched = await WatchedPage.open(browser, { baseURL: ops.url, extraHTTPHeaders: BEARER, javaScriptEnabled });
    await until('the tree is known', async () => (await watched.page.goto(PAGE))?.status() === 200);
    return watched;
  };

  it('are drawn from the data in the page, and a single value between gaps is visible', async () => {
    const { page, troubles } = await open();
    // While its clock is stopped, the page does not refresh, which would move the values away from the checked pixel.
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 60_000);
    await page.goto(PAGE);
    await page.locator('[data-chart="memory"] canvas').waitFor();
    assert.equal(await page.locator('.chart canvas').count(), 7, 'queues, too, although there is no latency yet');
    assert.equal(await page.locator('.charts + details[open]').count(), 0, 'the table is collapsed');
    const steps = await page.evaluate<(number | null)[]>(
      "JSON.parse(document.getElementById('chart-data').textContent).charts[0].series[0].values",
    );
    const lone = steps.lastIndexOf(300);
    assert.deepEqual(steps.slice(lone - 1, lone + 2), [null, 300, null]);
    const over = page.locator('[data-chart="requests"] .u-over');
    const { width = 0, height = 0 } = (await over.boundingBox()) ?? {};
    assert.deepEqual(await colourIn(over, { x: (lone / (steps.length - 1)) * width, y: height / 2 }), BUSY);
    await page.clock.resume();
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(troubles, []);
    await page.context().close();
  });

  it('are updated with new data, and label each layer of memory that has room for its name', async () => {
    const { page } = await open();
    await page.locator('[data-chart="memory"] canvas').waitFor();
    await page.clock.install();
    await page.goto(PAGE);
    await page.locator('.layer-name', { hasText: 'Jobs' }).waitFor();
    assert.deepEqual(await page.locator('.layer-name').allTextContents(), ['Worker 0', 'Jobs']);
    await write(10, 100, { primary: 30, 'worker 0': 80, 'worker 1': 120, jobs: 70 });
    await page.clock.fastForward(10_000);
    await page.locator('.layer-name', { hasText: 'Worker 1' }).waitFor();
    assert.deepEqual(await page.locator('.layer-name').allTextContents(), ['Worker 0', 'Worker 1', 'Jobs']);
    await page.context().close();
  });

  it('write the name of a deploy beside its mark, where no line crosses it', async () => {
    await ops.database.query(`insert into ops_deploys values ('v42', now() - interval '3 minutes')`);
    const { page } = await open();
    // What the page draws is recorded, and drawn.
    await page.addInitScript(`{
      window.written = [];
      const { fillText } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        if (text === 'v42') window.written.push(this.textAlign);
        return fillText.call(this, text, x, y);
      };
    }`);
    await page.goto(PAGE);
    await page.waitForFunction('window.written.length >= 7');
    assert.deepEqual(new Set(await page.evaluate<string[]>('window.written')), new Set(['left']));
    await page.context().close();
  });

  it('are an open table without scripts', async () => {
    const { page } = await open(false);
    await page.locator('.charts + details tbody tr').first().waitFor();
    const row = viewOf(await page.content()).rows.find(({ length }) => length === 11);
    assert.deepEqual([row?.[1], row?.[10]], ['600', '200'], 'requests per minute, and the memory of all processes');
    assert.equal(await page.locator('.canvas').first().isVisible(), false);
    await page.getByText('Numbers as a table').waitFor();
    await page.context().close();
  });
});
