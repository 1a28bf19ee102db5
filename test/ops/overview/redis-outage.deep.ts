import assert from 'node:assert/strict';
import { until } from '../../support/until';
import { OpsWeb, SIGNED } from '../ops-web';
import { PublishedTrees } from './published-trees';
import { treeStatusOf } from './tree-statuses';

describe('the overview without Redis', () => {
  let ops: OpsWeb;
  let trees: PublishedTrees;
  let operator: { Cookie: string };
  before(async () => {
    ops = await OpsWeb.start({ NODE_ENV: 'production', APP_URL: 'http://127.0.0.1', ...SIGNED });
    trees = new PublishedTrees(ops.redis);
    operator = { Cookie: await ops.signIn(SIGNED.OPS_PASSWORD) };
  });
  after(() => ops?.stop());

  const overview = async (query = '') =>
    (await ops.get(`/ops.json${query}`, operator)).json<unknown>() as {
      readonly verdict: { readonly tone: string };
      readonly trees: readonly { readonly id: string }[] | null;
    };

  it('remains available, and recovers by itself', async () => {
    await trees.publish(treeStatusOf({ id: 'unseen' }), -3_600_000);
    await until('the tree is listed', async () => (await overview()).trees?.some(({ id }) => id === 'unseen'));
    const page = await ops.stream('/ops/events?tree=unseen', operator);
    await until('the tree is shown', () => page.text().includes('p-worker-0'));
    await ops.redis.stop();
    const shown = await until('the page shows the outage', async () => {
      const seen = await ops.get('/ops', operator);
      return seen.body.includes('Redis does not answer') && seen;
    });
    assert.equal(shown.status, 200);
    for (const text of ['href="/ops/jobs/queues/default"', 'No charts', 'Other trees are unknown without Redis'])
      assert.ok(shown.body.includes(text), text);
    // The last one, if it has been tried again already.
    assert.match(shown.body, /Socket closed|ECONNRESET|ECONNREFUSED/);
    assert.match(shown.body, /id="redis" data-state="warn" data-line="cut"/);
    assert.match(shown.body, /id="postgres" data-state="ok"/);
    assert.equal((await ops.get('/ops/charts.json', operator)).status, 503);
    // Another tree is unknown, not gone: its page answers 503, after which a browser keeps trying.
    for (const path of ['/ops?tree=unseen', '/ops/processes/restart?tree=unseen'])
      assert.equal((await ops.get(path, operator)).status, 503, path);
    await ops.redis.start();
    await until('all is well again', async () => (await overview()).verdict.tone === 'ok');
    const heard = page.text().length;
    await trees.publish(treeStatusOf({ id: 'unseen', name: 'web.8' }), -3_600_000);
    await until('the same page receives its status again', () => page.text().slice(heard).includes('web.8'));
    assert.doesNotMatch(page.text(), /event: reload/);
    page.close();
  });
});
