import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { launchBrowser, type Page, WatchedPage, wordsOf } from '../../support/browser';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { BEARER, OpsWeb } from '../ops-web';
import { Mailbox } from './mailbox';

const INBOX = '/ops/mail/inbox';

describe('the inbox in a browser', () => {
  const ops = inSuite('stop', () => OpsWeb.start());
  const box = inSuite(undefined, () => new Mailbox(ops));
  const browser = inSuite('close', launchBrowser);
  let watched: WatchedPage;
  let page: Page;
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
    await until('the page has been updated', async () => (await page.locator('#live time').textContent()) !== updates);
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
