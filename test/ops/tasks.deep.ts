import assert from 'node:assert/strict';
import type { Locator, Page } from 'playwright-core';
import { launchBrowser, WatchedPage } from '../support/browser';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { imports } from './jobs/shop/billing';
import { useShopPages } from './jobs/shop-pages';
import { sessionOf } from './page-check';

/** An operator at the overview, whose clicks are counted. */
class CountedVisit {
  private clicks = 0;

  constructor(readonly page: Page) {}

  async click(target: Locator): Promise<void> {
    this.clicks++;
    await target.click();
  }

  link(name: string | RegExp): Locator {
    return this.page.locator('body').getByRole('link', { name }).first();
  }

  /** Pastes into the search of the header. Enter counts as a click. */
  async paste(text: string): Promise<void> {
    this.clicks++;
    await this.page.locator('.top').getByRole('searchbox').fill(text);
    await this.page.keyboard.press('Enter');
    await this.page.waitForURL((url) => url.pathname !== '/ops');
  }

  /** The answer stands on the page, after no more clicks than that. */
  async reads(text: RegExp, most: number): Promise<void> {
    await this.page.locator('main').getByText(text).first().waitFor();
    assert.ok(this.clicks <= most, `${this.clicks} clicks`);
  }
}

describe("an operator's tasks, from the overview", () => {
  const shop = useShopPages();
  const browser = inSuite('close', launchBrowser);
  const sql = (statement: string) => shop.ops.database.query(statement);
  beforeEach(() => shop.reset());

  const task = (name: string, run: (visit: CountedVisit) => Promise<void>, prepare: () => Promise<unknown>) =>
    it(name, async () => {
      await prepare();
      const { page, close } = await open();
      await page.goto(`${shop.ops.url}/ops`);
      await run(new CountedVisit(page));
      await close();
    });

  async function open() {
    const watched = await WatchedPage.open(browser);
    await watched.page.context().addCookies(sessionOf(shop.operator, shop.ops.url));
    return { page: watched.page, close: () => watched.close() };
  }

  task(
    'why somebody got no mail: one click, by the address',
    async (visit) => {
      await visit.paste('ada@example.com');
      await visit.reads(/550 5\.1\.1 no such user/, 1);
    },
    () =>
      sql(`insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at, claimed_by_pid, error)
        values ('j/1', 'UserMailer', 'welcome', array['ada@example.com'], 'Welcome', '<1@example.com>', 'failed',
          gen_random_uuid(), now(), 1, '550 5.1.1 no such user')`),
  );

  task(
    'why somebody got no mail whose job never ran: two clicks',
    async (visit) => {
      await visit.paste('bob@example.com');
      await visit.reads(/1 mail job has not run yet/, 1);
      await visit.click(visit.link(/1 mail job has not run yet/));
      await visit.reads(/No job of this queue starts/, 2);
    },
    async () => {
      await shop.pause('mailer');
      await shop.store('ready', { class: 'catamount.deliver-mail', queue: 'mailer' });
    },
  );

  task(
    'retry all of a class that died within an hour: four clicks',
    async (visit) => {
      await visit.click(visit.page.locator('.issues').getByRole('link', { name: 'SyncInvoiceJob fails' }));
      await visit.click(visit.page.getByRole('row', { name: 'Last hour' }).getByRole('link', { name: '5' }));
      await visit.click(visit.link('All 5…'));
      await visit.click(visit.page.getByRole('button', { name: 'Retry 5 jobs' }));
      await visit.reads(/5 jobs are back on their queues/, 4);
    },
    async () => {
      await shop.seed(5);
      await shop.storeDead({ at: Date.now() - 7_200_000 });
      await until('the page says that it fails', async () =>
        /SyncInvoiceJob fails/.test(await shop.operator.read('/ops')),
      );
    },
  );

  task(
    'what holds the slots: one click',
    async (visit) => {
      await visit.click(visit.link(/^Busy/));
      await visit.reads(/ImportRowsJob/, 1);
    },
    async () => {
      await shop.seed(0);
      await until('it runs', () => imports.held === 1);
    },
  );

  task(
    'the story of a request: a paste',
    async (visit) => {
      await visit.paste('req-77');
      await visit.reads(/POST \/pay 500 in 12 ms/, 1);
    },
    () =>
      sql(`insert into ops_log (at, request_id, level, status, line)
        values (now(), 'req-77', 'error', 500, '{"msg":"POST /pay 500 in 12 ms"}')`),
  );

  const ran = '00000000-0000-4000-8000-000000000077';
  task(
    'did a job run: a paste',
    async (visit) => {
      await visit.paste(ran);
      await visit.reads(/done in 12 ms/, 1);
    },
    () =>
      sql(`insert into ops_log (at, job_id, level, line)
        values (now(), '${ran}', 'info', '{"msg":"SyncInvoiceJob done in 12 ms"}')`),
  );

  task(
    'which deploy made errors rise: one click',
    async (visit) => {
      await visit.click(visit.link('Deploys'));
      await visit.reads(/no such column/, 1);
      const row = visit.page.getByRole('row', { name: 'v42' });
      assert.equal(await row.locator('b[data-state="bad"]').count(), 1, 'its errors stand out');
    },
    () =>
      sql(`insert into ops_deploys (release, at) values ('v41', now() - interval '4 hours'), ('v42', now() - interval '1 hour');
        insert into ops_log (at, request_id, level, line) select now() - n * interval '6 minutes', 'r', 'error', '{"msg":"GET /pay failed: no such column"}'
          from generate_series(1, 9) n;
        insert into ops_log (at, request_id, level, line) values (now() - interval '4.5 hours', 'old', 'info', '{"msg":"GET / 200"}')`),
  );
});
