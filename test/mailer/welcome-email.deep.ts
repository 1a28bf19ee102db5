import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { defineApp } from '../../lib/role/app/app-definition';
import { deliveries, type TestMails, useTestMail } from '../../lib/testing';
import { type Browser, launchBrowser, type Page, scrollsSideways, violations } from '../support/browser';

const ROOT = path.resolve(__dirname, '../..');
/** Screenshots are kept after the run, for people to look at. */
const SHOTS = path.join(ROOT, '.catamount/shots');
/** Gmail clips a mail that is larger, bytes. */
const CLIPPED_AT = 102_000;

const READERS = {
  en: { email: 'ada@example.com', name: 'Ada Park', locale: 'en' },
  ko: { email: 'minji@example.com', name: '김민지', locale: 'ko' },
  long: {
    email: 'a.very.long.address.that.somebody.does.have@subdomain.of.a.long.example.com',
    name: 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft',
    locale: 'en',
  },
} as const;
const COLOURS = {
  light: { card: 'rgb(255, 255, 255)', heading: 'rgb(43, 38, 34)', button: 'rgb(163, 79, 23)' },
  dark: { card: 'rgb(30, 27, 25)', heading: 'rgb(241, 236, 231)', button: 'rgb(233, 162, 104)' },
} as const;

describe('the look of the welcome mail', () => {
  let mails: TestMails;
  let browser: Browser;
  before(async () => {
    fs.mkdirSync(SHOTS, { recursive: true });
    browser = await launchBrowser();
    mails = await useTestMail({
      app: defineApp({
        name: 'catamount',
        root: path.join(ROOT, 'lib/app'),
        routes: async () => ({ default: () => undefined }),
      }),
    });
  });
  after(async () => {
    await mails.restore();
    await browser.close();
  });

  const styleOf = (page: Page, selector: string, property: string) =>
    page.evaluate<string>(`getComputedStyle(document.querySelector('${selector}')).${property}`);

  for (const [name, reader] of Object.entries(READERS)) {
    it(`to ${name}: fits and is legible in light and dark mode, on a phone and in a reading pane`, async () => {
      mails.clear();
      await UserMailer.welcome(reader).deliverNow();
      const html = deliveries()[0]?.html ?? assert.fail('it has no HTML');
      assert.ok(Buffer.byteLength(html) < CLIPPED_AT);
      const page = await browser.newPage();
      await page.setContent(html);
      for (const scheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: scheme });
        for (const width of [320, 600]) {
          await page.setViewportSize({ width, height: 800 });
          assert.equal(await scrollsSideways(page), false, `${scheme} ${width}`);
          const { card, heading, button } = COLOURS[scheme];
          assert.equal(await styleOf(page, '.card', 'backgroundColor'), card);
          assert.equal(await styleOf(page, 'h1', 'color'), heading);
          assert.equal(await styleOf(page, '.btn', 'backgroundColor'), button);
          // Only on a phone is the button as wide as the text.
          const [btn, text] = await Promise.all(['.btn', 'h1'].map((each) => page.locator(each).boundingBox()));
          assert.equal(btn?.width === text?.width, width === 320);
          await page.screenshot({ path: path.join(SHOTS, `welcome-${name}.${scheme}.${width}.png`), fullPage: true });
        }
        // A mail is not a page, so it needs no landmarks.
        const found = await violations(page);
        assert.deepEqual(
          found.filter((line) => !/^\w+ (landmark-one-main|region):/.test(line)),
          [],
        );
      }
      assert.equal(await page.evaluate('document.documentElement.lang'), reader.locale);
      await page.close();
    });
  }
});
