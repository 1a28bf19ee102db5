import assert from 'node:assert/strict';
import { order, statsOf } from '../../cluster/primary/operator';
import { launchBrowser, WatchedPage } from '../../support/browser';
import { request } from '../../support/http';
import { usePostgres, useRedisServer } from '../../support/stores';
import { inSuite } from '../../support/suite';
import { startTree, type Tree } from '../../support/tree';
import { until } from '../../support/until';

/** As a developer starts it: without a password, watching the log. */
describe('opening the pages from the terminal', () => {
  const browser = inSuite('close', launchBrowser);
  const database = usePostgres({ migrated: true });
  const redis = useRedisServer();
  const trees: Tree[] = [];
  after(() => Promise.all(trees.map((tree) => tree.cleanup())));

  const start = async () => {
    const tree = await startTree({ env: { DATABASE_URL: database.url, REDIS_URL: redis.url, WEB_CONCURRENCY: '2' } });
    trees.push(tree);
    const { text } = await tree.waitForLine(/Open http/);
    const link = /https?:\/\/[^\s,"]+\/ops\?token=[\w-]+/.exec(text)?.[0] ?? assert.fail(text);
    return { tree, link };
  };

  it('takes one click on the link in the log, and all workers accept the session while the tree runs', async () => {
    const [one, other] = await Promise.all([start(), start()]);
    const { page, troubles } = await WatchedPage.open(browser);
    const signInPage = page.getByRole('heading', { name: 'Open with the token from the log' });
    await page.goto(`${one.tree.baseUrl}/ops`);
    await signInPage.waitFor();
    await page.goto(one.link);
    await page.locator('#p-worker-0').waitFor();
    assert.equal(page.url(), `${one.tree.baseUrl}/ops`);
    // Another tree, on another port, has its own session and its own token.
    await page.goto(one.link.replace(one.tree.baseUrl, other.tree.baseUrl));
    await signInPage.waitFor();
    await page.goto(other.link);
    await page.locator('#p-worker-0').waitFor();
    const cookies = await page.context().cookies(`${one.tree.baseUrl}/ops`);
    const Cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const open = async (tree: Tree) =>
      (await request(`${tree.baseUrl}/ops/jobs/queues`, { headers: { Cookie } })).status;
    const pids = async () => (await statsOf(one.tree)).worker_status.map(({ pid }) => pid);
    const before = await pids();
    for (let n = 0; n < 10; n++) assert.equal(await open(one.tree), 200);
    assert.equal(await open(other.tree), 200);
    await order(one.tree, 'phased-restart');
    await until('the workers have been replaced', async () => (await pids()).every((pid) => !before.includes(pid)));
    for (let n = 0; n < 10; n++) assert.equal(await open(one.tree), 200);
    assert.deepEqual(troubles, []);
  });
});
