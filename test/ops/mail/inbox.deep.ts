import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type Browser, launchBrowser, type Page, WatchedPage, wordsOf } from '../../support/browser';
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

  it('shows new mails, though not under the pointer, and that mails were deleted', async () => {
    const name = await box.send({ subject: 'The first' });
    await page.goto(INBOX);
    await box.send({ subject: 'The second' });
    await page.getByRole('link', { name: 'The second' }).waitFor();
    fs.unlinkSync(path.join(box.folder, name));
    await page.getByRole('link', { name: 'The first' }).waitFor({ state: 'detached' });
    await page.locator('table').hover();
    await box.send({ subject: 'The third' });
    const updates = await page.locator('#live time').textContent();
    await page.locator('#live time', { hasNotText: updates ?? '' }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'The third' }).count(), 0);
    await page.mouse.move(0, 0);
    await page.getByRole('link', { name: 'The third' }).click();
    assert.equal(await wordsOf(page.getByRole('heading', { level: 1 })), 'The third');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('link', { name: 'Clear all' }).click();
    await page.getByRole('button', { name: /^Delete \d mails?$/ }).click();
    await page.getByText('No mails yet').waitFor();
  });
});
