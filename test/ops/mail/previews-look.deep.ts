import assert from 'node:assert/strict';
import { type Browser, launchBrowser, scrollsSideways, shoot, violations, WatchedPage } from '../../support/browser';
import { BEARER } from '../ops-web';
import { DevCopy } from './dev-copy';

const WELCOME = '/ops/mail/previews/UserMailer/welcome';
const GALLERY = '/ops/mail/previews/GalleryMailer';

describe('pages of mail previews', () => {
  let copy: DevCopy;
  let browser: Browser;
  before(async () => {
    [copy, browser] = await Promise.all([DevCopy.start(), launchBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await copy?.stop();
  });

  for (const locale of ['en', 'ko'] as const) {
    it(`are accessible, and do not scroll sideways on a phone, in ${locale}`, async () => {
      const pages = [
        ['mail', `${WELCOME}?lang=${locale}`],
        ['mail-dark-phone', `${WELCOME}?lang=${locale}&width=phone&scheme=dark`],
        ['mail-clipped', `${GALLERY}/newsletter`],
        ['mail-attachments', `${GALLERY}/invoice`],
      ] as const;
      // The other pages have few texts of their own.
      const more = [
        ['mail-text', `${WELCOME}?part=text`],
        ['mail-source', `${WELCOME}?part=source`],
        ['mail-headers', `${GALLERY}/invoice?part=headers`],
        ['mail-long', '/ops/mail/previews/UserMailer/welcomeWithLongName'],
        ['mail-none', `${GALLERY}/nothing`],
        ['mail-test', `${GALLERY}/invoice/send`],
      ] as const;
      const { page } = await WatchedPage.open(browser, { extraHTTPHeaders: BEARER });
      for (const [name, path] of locale === 'en' ? [...pages, ...more] : pages) {
        const url = new URL(path, copy.tree.baseUrl);
        url.searchParams.set('locale', locale);
        await page.goto(url.href);
        await shoot(page, `${name}.${locale}`);
        assert.deepEqual(await violations(page), [], name);
        await page.setViewportSize({ width: 320, height: 700 });
        assert.equal(await scrollsSideways(page), false, name);
      }
    });
  }
});
