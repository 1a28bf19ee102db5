import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {
  type Browser,
  launchBrowser,
  type Page,
  scrollsSideways,
  shoot,
  violations,
  WatchedPage,
  wordsOf,
} from '../../support/browser';
import { BEARER, OpsWeb } from '../ops-web';
import { Mailbox } from './mailbox';

const INBOX = '/ops/mail/inbox';

describe('the inbox in a browser', () => {
  let ops: OpsWeb;
  let box: Mailbox;
  let browser: Browser;
  let watched: WatchedPage;
  let page: Page;
  before(async () => {
    [ops, browser] = await Promise.all([OpsWeb.start(), launchBrowser()]);
    box = new Mailbox(ops);
  });
  after(async () => {
    await browser?.close();
    await ops?.stop();
  });
  beforeEach(async () => {
    fs.rmSync(box.folder, { recursive: true, force: true });
    watched = await WatchedPage.open(browser, { baseURL: ops.url, extraHTTPHeaders: BEARER });
    page = watched.page;
  });
  afterEach(async () => {
    const { troubles } = watched;
    await watched.close();
    assert.deepEqual(troubles, []);
  });

  it('announces new mails without moving the list, and shows that mails were deleted', async () => {
    const name = await box.send({ subject: 'The first' });
    await page.goto(INBOX);
    await box.send({ subject: 'The second' });
    const news = page.getByRole('link', { name: '1 new mail, show' });
    await news.waitFor();
    await shoot(page, 'inbox-news.en');
    assert.deepEqual(await violations(page), []);
    assert.equal(await page.getByRole('link', { name: 'The second' }).count(), 0);
    await news.click();
    await page.getByRole('link', { name: 'The second' }).waitFor();
    fs.unlinkSync(path.join(box.folder, name));
    await box.send({ subject: 'The third' });
    await page.getByRole('link', { name: /show/ }).click();
    await page.getByRole('link', { name: 'The third' }).click();
    assert.equal(await wordsOf(page.getByRole('heading', { level: 1 })), 'The third');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('link', { name: 'Clear all' }).click();
    await page.getByRole('button', { name: /^Delete \d mails?$/ }).click();
    await page.getByText('No mails yet').waitFor();
  });

  for (const locale of ['en', 'ko'] as const) {
    it(`is accessible, and does not scroll sideways on a phone, in ${locale}`, async () => {
      const visit = async (name: string, at: string) => {
        await page.goto(`${at}${at.includes('?') ? '&' : '?'}locale=${locale}`);
        await shoot(page, `${name}.${locale}`);
        assert.deepEqual(await violations(page), [], name);
        await page.setViewportSize({ width: 320, height: 700 });
        assert.equal(await scrollsSideways(page), false, name);
      };
      await visit('inbox-empty', INBOX);
      for (let i = 0; i < 27; i++) await box.send({ date: new Date(Date.now() - i * 3_000_000) });
      await box.send({
        date: new Date(),
        subject: 'Catamount에 오신 것을 환영합니다',
        headers: { 'Content-Language': 'ko' },
      });
      await box.send({
        date: new Date(Date.now() - 1),
        subject: `A subject that is longer than any line has room for, ${'and goes on '.repeat(8)}`,
        to: [
          {
            name: 'Somebody of a very long name',
            address: 'a.very.long.address.that.somebody.has@a.long.example.com',
          },
        ],
      });
      await visit('inbox', INBOX);
      await visit('inbox-nothing', `${INBOX}?q=nobody`);
      await visit('inbox-clear', `${INBOX}/clear`);
      await page.goto(INBOX);
      await page.locator('tbody a').first().click();
      await visit('inbox-mail', new URL(page.url()).pathname);
    });
  }
});
