import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import type { Download, FrameLocator } from 'playwright-core';
import PostalMime from 'postal-mime';
import {
  type Browser,
  colourIn,
  launchBrowser,
  type Page,
  violations,
  WatchedPage,
  wordsOf,
} from '../../support/browser';
import { until } from '../../support/until';
import { OPS_TOKEN } from '../ops-web';
import { checkPages, PHONE } from '../page-check';
import { DevCopy } from './dev-copy';

const WELCOME = '/ops/mail/previews/UserMailer/welcome';
const GALLERY = '/ops/mail/previews/GalleryMailer';
const TEMPLATE = 'mailers/templates/user_mailer/welcome/html.ejs';
/** Messages of the browser when it blocks what a mail must not do. */
const HINDERED = /^(Blocked script execution|Loading the image|Blocked form submission|Executing inline|Running the)/;

describe('previews of mails, in npm run dev', () => {
  let copy: DevCopy;
  let browser: Browser;
  let watched: WatchedPage;
  let page: Page;
  let frame: FrameLocator;

  const open = async (options: Parameters<typeof WatchedPage.open>[1] = {}) => {
    watched = await WatchedPage.open(browser, { baseURL: copy.tree.baseUrl, ...options });
    page = watched.page;
    // Chromium sends cookies with downloads, but not the extra headers of the page.
    await page.context().request.get(`/ops?token=${OPS_TOKEN}`, { maxRedirects: 0 });
    frame = page.frameLocator('iframe');
  };
  const choose = (group: string, name: string) =>
    page.getByRole('navigation', { name: group }).getByRole('link', { name, exact: true }).click();
  const fact = (name: string) =>
    wordsOf(
      page
        .locator('.panel-body > .facts > div')
        .filter({ has: page.getByText(name, { exact: true }) })
        .locator('dd'),
    );
  const downloaded = async (link: string) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: link }).click(),
    ]);
    return { name: download.suggestedFilename(), bytes: await bytesOf(download) };
  };

  before(async () => {
    copy = await DevCopy.start();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await copy?.stop();
  });
  beforeEach(() => open());
  afterEach(async () => {
    const troubles = watched.troubles.filter((line) => !HINDERED.test(line));
    await watched.close();
    assert.deepEqual(troubles, []);
  });

  it('are listed by mailer and method, and the first one is opened', async () => {
    await page.goto('/ops/mail');
    assert.match(await page.title(), /^Invoice/);
    const index = page.getByRole('navigation', { name: 'Mails', exact: true });
    assert.deepEqual(await index.getByRole('heading').allTextContents(), ['GalleryMailer', 'UserMailer', 'Inbox']);
    await index.getByRole('link', { name: 'welcome', exact: true }).click();
    assert.equal(await page.title(), 'Welcome to Catamount · Catamount ops');
    const list = (await copy.tree.request('GET', '/ops/mail.json')).json<{ previews: { href: string }[] }>();
    assert.deepEqual(list.previews.map(({ href }) => href.replace('/ops/mail/previews/', '')).slice(-5), [
      'GalleryMailer/exits',
      ...['', 'WithoutName', 'WithOddName', 'WithLongName'].map((n) => `UserMailer/welcome${n}`),
    ]);
  });

  it('show all headers and every part', async () => {
    await page.goto(`${GALLERY}/invoice`);
    const subject = 'Invoice <script>document.title="run"</script> 2026-118';
    assert.equal(await wordsOf(page.getByRole('heading', { level: 1 })), subject);
    assert.equal(await fact('To'), 'Ada Park <ada@example.com>');
    assert.equal(await fact('Cc'), 'books@example.com');
    assert.equal(await fact('Bcc'), 'audit@example.com');
    assert.equal(await fact('Reply-To'), 'billing@example.com');
    assert.match(
      await fact('Attachments'),
      /^dot\.png image\/png, 70 B, shown in the mail ?invoice 2026-118\.pdf application\/pdf, 24 B$/,
    );
    assert.match(await fact('Date'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    for (const [part, says] of [
      ['Text', /^Your invoice of 2026-118 is attached\.$/],
      ['Source', /<p id="words">Your invoice/],
      ['Headers', /Reply-To ?billing@example\.com/],
      ['Raw', /Content-Type: multipart\/mixed/],
    ] as const) {
      await choose('Part', part);
      assert.match(await wordsOf(page.locator('.letter')), says, part);
    }
    const json = (await copy.tree.request('GET', `${GALLERY}/invoice.json`)).json();
    assert.deepEqual(
      [json.subject, json.bcc, String(json.text).trim()],
      [subject, ['audit@example.com'], 'Your invoice of 2026-118 is attached.'],
    );
  });

  it('switch the language, width and colours of the mail, and keep them for the next one', async () => {
    await page.goto(WELCOME);
    await choose('Language of the mail', '한국어');
    assert.equal(await frame.locator('html').getAttribute('lang'), 'ko');
    assert.match(await wordsOf(page.getByRole('heading', { level: 1 })), /환영합니다/);
    assert.equal(await fact('To'), '김민지 <minji@example.com>');
    const iframe = page.locator('iframe');
    const isColoured = (...colour: number[]) =>
      until(`the mail is ${colour}`, async () => String(await colourIn(iframe, { x: 4, y: 4 })) === String(colour));
    assert.equal((await iframe.boundingBox())?.width, 600);
    await isColoured(0xf5, 0xf1, 0xec);
    await choose('Width', 'Phone');
    await choose('Colours of the mail', 'Dark');
    assert.equal((await iframe.boundingBox())?.width, 360);
    await isColoured(0x1e, 0x1b, 0x19);
    await choose('Mails', 'welcomeWithOddName');
    assert.equal(await frame.locator('html').getAttribute('lang'), 'ko');
    assert.equal((await iframe.boundingBox())?.width, 360);
    assert.match(await wordsOf(frame.locator('.h')), /O'Brien <b> & Söhne/);
  });

  it('are sandboxed: no script runs, and images are loaded only on request', async () => {
    const failed: string[] = [];
    page.on('requestfailed', (request) => void failed.push(`${request.url()} ${request.failure()?.errorText}`));
    await page.goto(`${GALLERY}/invoice`);
    await frame.locator('#own').waitFor();
    assert.equal(await wordsOf(frame.locator('#words')), 'Your invoice of 2026-118.');
    assert.deepEqual(await colourIn(frame.locator('#own'), { x: 10, y: 10 }), [255, 0, 0]);
    await frame.locator('#script').click();
    await frame.locator('#send').click();
    assert.deepEqual(failed, ['http://127.0.0.1:9/pixel.png csp']);
    const [opened] = await Promise.all([page.context().waitForEvent('page'), frame.locator('#next').click()]);
    await opened.waitForURL(/\/health$/);
    assert.equal(await opened.evaluate('window.opener'), null);
    await opened.close();
    await page.getByRole('link', { name: 'Load images' }).click();
    await until('the image is requested', () =>
      failed.some((one) => /pixel.png net::ERR_(UNSAFE_PORT|CONNECTION)/.test(one)),
    );
    assert.match(await page.title(), /^Invoice <script>/);
    const policy = (await copy.tree.request('GET', `${GALLERY}/invoice/body`)).headers['content-security-policy'];
    assert.match(String(policy), /^sandbox allow-popups [^;]*; default-src 'none'/);
  });

  it('can be downloaded, as a whole and each attachment', async () => {
    await page.goto(`${GALLERY}/invoice`);
    const whole = await downloaded('Download .eml');
    assert.equal(whole.name, 'Invoice _script_document.title=_run___script_ 2026-118.eml');
    const mail = await PostalMime.parse(whole.bytes);
    assert.equal(mail.attachments.length, 2);
    const file = await downloaded('invoice 2026-118.pdf');
    assert.deepEqual(file, { name: 'invoice 2026-118.pdf', bytes: Buffer.from('%PDF-1.4 not much of one') });
  });

  it('warn when Gmail would clip the mail, show mails without HTML, and say when no mail is sent', async () => {
    await page.goto(`${GALLERY}/newsletter`);
    assert.match(
      await wordsOf(page.locator('.note')),
      /The HTML is 1\d\d\.\d kB\. Gmail cuts off what is above 102\.0 kB/,
    );
    await page.goto(`${GALLERY}/note`);
    assert.equal(await wordsOf(page.locator('.letter')), 'Words, and nothing but words.');
    assert.equal(await page.getByRole('link', { name: 'HTML' }).count(), 0);
    await page.goto(`${GALLERY}/nothing`);
    assert.equal(await wordsOf(page.getByRole('heading', { level: 1 })), 'GalleryMailer#nothing sends no mail');
    assert.equal((await copy.tree.request('GET', `${GALLERY}/elsewhere`)).status, 404);
    assert.equal((await copy.tree.request('GET', `${GALLERY}/constructor`)).status, 404);
  });

  it('show the line at which a preview failed', async () => {
    await page.goto(`${GALLERY}/broken`);
    assert.match(await wordsOf(page.locator('.note')), /RangeError ?no <b>first<\/b> name to show/);
    await page.getByText('Stack trace', { exact: true }).click();
    assert.match(await wordsOf(page.locator('.trace')), /gallery-mailer-preview\.ts:\d+/);
    const { status, json } = await copy.tree.request('GET', `${GALLERY}/broken.json`);
    assert.deepEqual([status, json<{ error: { name: string } }>().error.name], [500, 'RangeError']);
    watched.troubles.length = 0;
  });

  it('leave nothing in the database, and recover from a preview that exits its process', async () => {
    for (let i = 0; i < 2; i++) {
      const { subject } = (await copy.tree.request('GET', `${GALLERY}/stored.json`)).json();
      assert.equal(subject, 'Users: 1');
    }
    const gone = await copy.tree.request('GET', `${GALLERY}/exits`);
    assert.equal(gone.status, 502);
    assert.match(gone.body, /The preview could not be rendered.*ended by code 3/s);
    assert.equal((await copy.tree.request('GET', WELCOME)).status, 200);
  });

  for (const locale of ['en', 'ko'] as const)
    it(`are accessible and fit a phone, as do the pages of the sample app, in ${locale}`, async () => {
      await watched.close();
      await open(PHONE);
      const preview = (path: string) => `/ops/mail/previews/${path}${path.includes('?') ? '&' : '?'}locale=${locale}`;
      await checkPages(page, copy.tree.baseUrl, {
        previews: `/ops/mail?locale=${locale}`,
        preview: preview('UserMailer/welcome'),
        'preview-dark': preview('UserMailer/welcome?width=phone&scheme=dark'),
        'preview-source': preview('UserMailer/welcome?part=source'),
        'preview-long-name': preview('UserMailer/welcomeWithLongName'),
        'preview-clipped': preview('GalleryMailer/newsletter'),
        'preview-attachments': preview('GalleryMailer/invoice?part=text'),
        'preview-headers': preview('GalleryMailer/invoice?part=headers'),
        'preview-none': preview('GalleryMailer/nothing'),
        'restart-all': `/ops/processes/restart?locale=${locale}`,
        landing: '/',
        nowhere: { path: '/nowhere', status: 404 },
      });
    });

  it('work without scripts', async () => {
    await watched.close();
    await open({ javaScriptEnabled: false });
    await page.goto(WELCOME);
    await choose('Part', 'Text');
    await choose('Language of the mail', '한국어');
    assert.match(await wordsOf(page.locator('.letter')), /김민지/);
    assert.match(await wordsOf(page.locator('#live')), /^As of/);
  });

  it('reload when a template, a text or the code changes, and show what is broken meanwhile', async () => {
    await page.goto(WELCOME);
    const mend = copy.change(TEMPLATE, (text) => text.replace('<%=', '<%= nobody.knows %>\n<%='));
    const what = /user_mailer\/welcome\/html\.ejs:\d+: nobody is not defined/;
    await page.locator('.why', { hasText: what }).waitFor();
    assert.equal(await wordsOf(page.getByRole('heading', { level: 1 })), 'UserMailer#welcome cannot be shown');
    await page.getByText('Stack trace', { exact: true }).click();
    assert.match(await wordsOf(page.locator('.trace')), />> \d+\|.*nobody\.knows/);
    assert.deepEqual(await violations(page), []);
    mend();
    await frame.getByText('Welcome, Ada Park.').waitFor();
    copy.change('locales/en.json', (text) => text.replace('Welcome, {{name}}.', 'Come in, {{name}}.'));
    await frame.getByText('Come in, Ada Park.').waitFor();
    copy.change('mailers/previews/user-mailer-preview.ts', (text) => text.replaceAll('Ada Park', 'Ada Lee'));
    await frame.getByText('Come in, Ada Lee.').waitFor();
    // The page of the broken template has the status 500.
    watched.troubles.length = 0;
  });
});

async function bytesOf(download: Download): Promise<Buffer> {
  return fs.readFile(await download.path());
}
