import assert from 'node:assert/strict';
import { resumeQueue } from '../../../lib/job/row/pauses';
import { launchBrowser, WatchedPage } from '../../support/browser';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { sessionOf } from '../page-check';
import { billing, imports } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import { useShopPages } from './shop-pages';

describe('pages of jobs in a browser', () => {
  const shop = useShopPages();
  const browser = inSuite('close', launchBrowser);
  beforeEach(() => shop.reset());

  const url = (path: string) => shop.ops.url + path;
  const died = () => shop.eventsNamed('job.dead').length;

  const open = async (javaScriptEnabled = true) => {
    const watched = await WatchedPage.open(browser, { javaScriptEnabled });
    await watched.page.context().addCookies(sessionOf(shop.operator, shop.ops.url));
    return watched;
  };

  async function kill(invoice: string): Promise<void> {
    const before = died();
    await SyncInvoiceJob.performLater({ invoice, amount: 1, token: 't', email: 'e' });
    await until('it is dead', () => died() === before + 1);
  }

  /** Filters and retries dead jobs, opens one, and cancels its deletion. */
  async function walk(javaScriptEnabled: boolean): Promise<void> {
    await shop.seed(30);
    const watched = await open(javaScriptEnabled);
    const { page } = watched;
    await page.goto(url('/ops/jobs/dead'));
    const rows = () => page.locator('tbody tr').count();
    assert.equal(await rows(), 31);

    await page.getByLabel('Search', { exact: true }).fill('inv_1');
    await page.getByLabel('Class').selectOption('SyncInvoiceJob');
    await page.getByLabel('Error').selectOption('BillingTimeout');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.waitForURL(/q=inv_1/);
    assert.equal(await rows(), 11);

    billing.works = true;
    for (const row of [0, 2]) await page.locator('tbody tr').nth(row).getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.getByRole('status').getByText('2 jobs are back on their queues.').waitFor();
    assert.match(page.url(), /q=inv_1/, 'the filter stays');
    await until('they have run', () => billing.invoices.length === 2);

    await page.locator('tbody tr').first().getByRole('link').first().click();
    await page.waitForURL(/\/job\/default\//);
    assert.match((await page.locator('h1').textContent()) ?? '', /SyncInvoiceJob/);
    await page.getByRole('link', { name: 'Delete…' }).click();
    assert.equal(await page.locator('h1').textContent(), 'Delete 1 dead job?');
    await page.getByRole('link', { name: 'Keep it' }).click();
    await page.waitForURL(/\/ops\/jobs\/dead/);
    assert.equal(await rows(), 29);

    await page.getByLabel('Class').selectOption('SyncInvoiceJob');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('link', { name: 'All 28…' }).click();
    assert.equal(await page.locator('h1').textContent(), 'Retry or delete 28 dead jobs?');
    await page.getByRole('button', { name: 'Retry 28 jobs' }).click();
    await page.getByRole('status').getByText('28 jobs are back on their queues.').waitFor();
    await until('all have run', () => billing.invoices.length === 30);
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  }

  it('filter a list, retry jobs and ask before deleting', () => walk(true));

  it('do the same without JavaScript', () => walk(false));

  it('announce new jobs without moving the rows', async () => {
    await shop.seed(2);
    const watched = await open();
    const { page } = watched;
    await page.goto(url('/ops/jobs/dead'));
    await page.locator('#live[data-state="ok"]').waitFor();
    const before = await page.locator('tbody').textContent();
    await page.locator('tbody tr').first().getByRole('checkbox').check();
    await kill('inv_new');
    await page.getByRole('status').getByText('The list has changed, show').waitFor();
    await page.locator('[data-count="dead"]', { hasText: '4' }).waitFor();
    assert.equal(await page.locator('tbody').textContent(), before);
    assert.ok(await page.locator('tbody tr').first().getByRole('checkbox').isChecked());
    await page.getByRole('link', { name: 'The list has changed, show' }).click();
    await page.locator('tbody tr', { hasText: 'inv_new' }).waitFor();
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  });

  it('send a form once for a double click', async () => {
    const ids = await Promise.all([1, 2].map(() => shop.storeDead()));
    const watched = await open();
    const { page } = watched;
    await page.goto(url(`/ops/jobs/job/default/${ids[0]}`));
    await page.getByRole('button', { name: 'Retry now' }).dblclick();
    await page.getByRole('status').getByText('1 job is back on its queue.').waitFor();
    assert.equal(shop.actions().length, 1);
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  });

  it('update the numbers of queues and running jobs in place', async () => {
    await shop.seed(1);
    const watched = await open();
    const { page } = watched;
    await page.goto(url('/ops/jobs/queues'));
    await page.locator('#live[data-state="ok"]').waitFor();
    await shop.pause('default');
    await ImportRowsJob.performLater({ import: 2, from: 0 });
    await page.locator('#q-default td:nth-of-type(1)', { hasText: /^\s*1\s*$/ }).waitFor();
    await page.locator('#q-default').getByRole('button', { name: 'Resume' }).waitFor();
    await resumeQueue(shop.database.knex, 'default');

    await until('the first one is shown as running', async () =>
      (await shop.operator.get('/ops/jobs/busy')).body.includes('42 %'),
    );
    await page.goto(url('/ops/jobs/busy'));
    await page.locator('#live[data-state="ok"]').waitFor();
    // The second one may begin only now.
    imports.open();
    await page.getByText('Nothing runs').waitFor();
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  });
});
