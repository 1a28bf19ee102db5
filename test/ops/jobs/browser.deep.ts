import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { resumeQueue } from '../../../lib/job/row/pauses';
import { storeDead } from '../../job/sets/stored-job';
import { type Browser, launchBrowser, scrollsSideways, shoot, violations, WatchedPage } from '../../support/browser';
import { until } from '../../support/until';
import { BEARER } from '../ops-web';
import { billing, imports } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import { seed } from './shop-seeds';
import { ShopStage } from './shop-stage';

/** Pages whose screenshots are kept, for people to look at. */
const SHOT = new Set(['queues', 'busy', 'dead-ticked', 'job', 'confirm']);

describe('pages of jobs in a browser', () => {
  let stage: ShopStage;
  let browser: Browser;
  before(async () => {
    [stage, browser] = await Promise.all([ShopStage.start(), launchBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await stage?.stop();
  });
  beforeEach(() => stage.reset());

  const url = (path: string) => stage.ops.url + path;
  const died = () => stage.eventsNamed('job.dead').length;

  async function kill(invoice: string): Promise<void> {
    const before = died();
    await SyncInvoiceJob.performLater({ invoice, amount: 1, token: 't', email: 'e' });
    await until('it is dead', () => died() === before + 1);
  }

  /** Filters, sorts and retries dead jobs, opens one, and cancels its deletion. */
  async function walk(javaScriptEnabled: boolean): Promise<void> {
    await seed(stage, 30);
    const watched = await WatchedPage.open(browser, { extraHTTPHeaders: BEARER, javaScriptEnabled });
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
    await page.getByRole('link', { name: 'Job', exact: true }).click();
    await page.waitForURL(/sort=class/);

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
    await seed(stage, 2);
    const watched = await WatchedPage.open(browser, { extraHTTPHeaders: BEARER });
    const { page } = watched;
    await page.goto(url('/ops/jobs/dead'));
    await page.locator('#live[data-state="ok"]').waitFor();
    const before = await page.locator('tbody').textContent();
    await page.locator('tbody tr').first().getByRole('checkbox').check();
    await kill('inv_new');
    await page.getByRole('status').getByText('1 new, show').waitFor();
    await page.locator('[data-count="dead"]', { hasText: '4' }).waitFor();
    assert.equal(await page.locator('tbody').textContent(), before);
    assert.ok(await page.locator('tbody tr').first().getByRole('checkbox').isChecked());
    await page.getByRole('link', { name: '1 new, show' }).click();
    await page.locator('tbody tr', { hasText: 'inv_new' }).waitFor();

    await page.locator('tbody tr', { hasText: 'inv_new' }).getByRole('link').first().click();
    await page.locator('#live[data-state="ok"]').waitFor();
    await stage.ops.database.query('delete from job_dead where id = $1', [(await stage.deadIds()).at(-1)]);
    await page.getByText('This job has moved on, show').waitFor();
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  });

  it('update the numbers of queues and running jobs in place', async () => {
    await seed(stage, 1);
    const watched = await WatchedPage.open(browser, { extraHTTPHeaders: BEARER });
    const { page } = watched;
    await page.goto(url('/ops/jobs/queues'));
    await page.locator('#live[data-state="ok"]').waitFor();
    await stage.pause('default');
    await ImportRowsJob.performLater({ import: 2, from: 0 });
    await page.locator('#q-default [data-n="size"]', { hasText: /^1$/ }).waitFor();
    await page.getByText('The list has changed, show').waitFor();
    await resumeQueue(stage.database.knex, 'default');

    await until('the first one is shown as running', async () =>
      (await stage.ops.get('/ops/jobs/busy')).body.includes('42 %'),
    );
    await page.goto(url('/ops/jobs/busy'));
    await page.locator('#live[data-state="ok"]').waitFor();
    imports.close();
    await page.locator('tbody tr[id] [data-n="for"]', { hasText: 'ended' }).first().waitFor();
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  });

  it('are accessible from 320 px up, and run no script from the data of jobs', async () => {
    const [id = ''] = await seed(stage, 12);
    const evil = `"><img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>`;
    const hostile = await storeDead(stage.database.knex, {
      class: 'SyncInvoiceJob',
      args: [{ [evil]: evil, long: 'x'.repeat(190) }],
      errors: [`${evil} ${'y'.repeat(400)}`],
      tags: [evil],
      at: Date.now(),
    });
    await until('the running job is shown', async () => (await stage.ops.get('/ops/jobs/busy')).body.includes('42 %'));
    const watched = await WatchedPage.open(browser, { extraHTTPHeaders: BEARER });
    const { page } = watched;
    const pages = {
      queues: '/ops/jobs/queues',
      queue: '/ops/jobs/queues/default',
      clear: '/ops/jobs/queues/default/clear',
      busy: '/ops/jobs/busy',
      scheduled: '/ops/jobs/scheduled',
      retries: '/ops/jobs/retry',
      dead: '/ops/jobs/dead',
      'dead-ticked': '/ops/jobs/dead?select=page&class=SyncInvoiceJob',
      'dead-none': '/ops/jobs/dead?q=synkinvoice&queue=mailer',
      cron: '/ops/jobs/cron',
      classes: '/ops/jobs/classes',
      job: `/ops/jobs/job/default/${id}`,
      hostile: `/ops/jobs/job/default/${hostile}`,
      confirm: '/ops/jobs/dead/confirm?all=1',
      reschedule: '/ops/jobs/retry/confirm?all=1&action=reschedule',
      find: '/ops/jobs/find?q=inv_1',
      gone: `/ops/jobs/job/default/${randomUUID()}`,
      refused: '/ops/jobs/dead?page=0',
    };
    for (const [name, path] of Object.entries(pages)) {
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.goto(url(path));
      assert.deepEqual(await violations(page), [], name);
      for (const width of [320, 768]) {
        await page.setViewportSize({ width, height: 700 });
        assert.equal(await scrollsSideways(page), false, `${name} at ${width}`);
      }
      assert.doesNotMatch(await page.title(), /pwned/);
      if (!SHOT.has(name)) continue;
      await page.emulateMedia({ colorScheme: 'dark' });
      assert.deepEqual(await violations(page), [], `${name}, dark and narrow`);
      await page.emulateMedia({ colorScheme: 'light' });
      await shoot(page, `jobs-${name}`);
    }
    await page.goto(url('/ops/jobs/dead?locale=ko'));
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(watched.troubles, []);
    await watched.close();
  });
});
