import assert from 'node:assert/strict';
import type Koa from 'koa';
import { defineApp } from '../../../lib';
import { launchBrowser, WatchedPage } from '../../support/browser';
import { inSuite } from '../../support/suite';
import { OpsWeb } from '../ops-web';
import { checkPages, PHONE } from '../page-check';

const SHOP = defineApp({
  name: 'shop',
  root: __dirname,
  koa: (app: Koa) => {
    app.use((_ctx, next) => next());
  },
  ops: {
    authorize: async () => 'victoria.montgomery-featherstonehaugh@customer-support.shop.example',
    tabs: [
      { title: 'Refunds', path: 'refunds', render: async () => '<h1>Refunds of today</h1>' },
      { title: 'Warehouse and returns', href: '/' },
      { title: '고객 지원', href: '/support' },
    ],
  },
});

/** Where the texts of the form begin, px. */
const LEFT_OF_TEXTS = `['.field > span', '.hint'].map((one) => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector('form.panel ' + one));
  return range.getBoundingClientRect().left;
})`;

describe('the header with tabs of the app and a long name', () => {
  const ops = inSuite('stop', () => OpsWeb.start({ NODE_ENV: 'production', APP_URL: 'http://127.0.0.1' }, SHOP));
  const browser = inSuite('close', launchBrowser);

  it('shows all of them on a laptop, leaves room for the search on a phone, and marks one tab', async () => {
    const { page } = await WatchedPage.open(browser, PHONE);
    await checkPages(page, ops.url, { tab: '/ops/tabs/refunds', profiles: '/ops/profiles' });
    await page.goto(`${ops.url}/ops/tabs/refunds`);
    assert.deepEqual(await page.locator('.nav [aria-current]').allTextContents(), ['Refunds']);
    const search = await page.locator('.search input').boundingBox();
    assert.ok((search?.width ?? 0) > 90, JSON.stringify(search));
    await page.goto(`${ops.url}/ops/profiles`);
    const [field, hint] = await page.evaluate<number[]>(LEFT_OF_TEXTS);
    assert.equal(hint, field);
  });
});
