import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { brotliDecompressSync, inflateSync } from 'node:zlib';
import chromium from '@sparticuz/chromium';
import axe, { type AxeResults } from 'axe-core';
import {
  type Browser,
  type BrowserContextOptions,
  type Locator,
  type Page,
  chromium as playwright,
} from 'playwright-core';
import { tempFolder } from './temp-folder';
import { WAIT_LIMIT_MS } from './wait-limit';

export type { Browser, Page };

const ROOT = path.resolve(__dirname, '../..');
const HANGUL = path.join(ROOT, 'node_modules/@embedpdf/fonts-kr/fonts');
/** Starts a real Chromium: the one from npm on Linux x64, the installed Chrome elsewhere. Its fonts include Hangul. */
export async function launchBrowser(): Promise<Browser> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return playwright.launch({ channel: 'chrome' });
  const executablePath = await chromium.executablePath();
  const env = { ...process.env, FONTCONFIG_FILE: writeFontConfig(), ...librariesFor(executablePath) };
  // The package's own arguments are left out: they switch off site isolation. Containers often allow no sandbox.
  return playwright.launch({ executablePath, args: ['--no-sandbox'], env });
}

/** Small systems lack NSS and Expat; the npm package carries them in an archive, unpacked only when needed. */
function librariesFor(executable: string): { readonly LD_LIBRARY_PATH?: string } {
  if (spawnSync(executable, ['--version']).status === 0) return {};
  const folder = tempFolder('chromium');
  const archive = path.join(ROOT, 'node_modules/@sparticuz/chromium/bin/al2023.tar.br');
  const { status, stderr } = spawnSync('tar', ['-x', '-C', folder], {
    input: brotliDecompressSync(fs.readFileSync(archive)),
  });
  if (status !== 0) throw new Error(`the libraries of Chromium cannot be unpacked: ${stderr}`);
  return { LD_LIBRARY_PATH: path.join(folder, 'lib') };
}

function writeFontConfig(): string {
  const folder = tempFolder('fonts');
  const file = path.join(folder, 'fonts.conf');
  const alias = (family: string, prefer: string) =>
    `<alias binding="same"><family>${family}</family><prefer><family>${prefer}</family></prefer></alias>`;
  fs.writeFileSync(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
    <dir>${path.join(os.tmpdir(), 'fonts')}</dir><dir>${HANGUL}</dir><dir>/usr/share/fonts</dir>
    <cachedir>${folder}</cachedir>
    <selectfont><rejectfont>${['Thin', 'Light', 'DemiLight', 'Medium', 'Black'].map((weight) => `<glob>*-${weight}.otf</glob>`).join('')}</rejectfont></selectfont>
    ${alias('system-ui', 'Open Sans')}${alias('sans-serif', 'Open Sans')}${alias('ui-monospace', 'DejaVu Sans Mono')}
    </fontconfig>`,
  );
  return file;
}

/** A page that collects what goes wrong in it: script errors, CSP violations, responses of 500 and above. */
export class WatchedPage {
  readonly troubles: string[] = [];

  private constructor(readonly page: Page) {
    page.on('pageerror', (error) => this.troubles.push(error.message));
    page.on('console', (message) => {
      // Chromium logs this for every response of 400 and above, including those that a test expects.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
        this.troubles.push(message.text());
    });
    page.on('response', (answer) => {
      if (answer.status() >= 500) this.troubles.push(`${answer.status()} ${answer.url()}`);
    });
  }

  /** Opens a page in a browser profile of its own. Default: 1280 x 900, British English, reduced motion. */
  static async open(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      locale: 'en-GB',
      // An emulated scheme would override that of a frame whose element has a different one.
      colorScheme: null,
      reducedMotion: 'reduce',
      ...options,
    });
    context.setDefaultTimeout(WAIT_LIMIT_MS);
    return new WatchedPage(await context.newPage());
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

/** The violations that axe-core finds in the page in light, and of colours in dark, too, one line per element. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found: string[] = [];
  for (const [scheme, only] of [
    ['dark', ", runOnly: ['color-contrast', 'link-in-text-block']"],
    ['light', ''],
  ]) {
    await page.evaluate(`document.documentElement.dataset.theme = '${scheme}'`);
    // Frames hold mails, whose markup is the app's.
    const results = (await page.evaluate(
      `axe.run({ exclude: ['iframe'] }, { iframes: false, resultTypes: ['violations']${only} })`,
    )) as AxeResults;
    for (const { id, nodes } of results.violations)
      for (const { html, failureSummary = '' } of nodes)
        found.push(`${scheme} ${id}: ${html.slice(0, 160)} ${failureSummary}`);
  }
  return found;
}

/** The element's text with runs of white space collapsed. Waits until the element exists. */
export async function wordsOf(locator: Locator): Promise<string> {
  return ((await locator.textContent()) ?? '').replace(/\s+/g, ' ').trim();
}

/** Red, green and blue of one pixel of a screenshot: computed styles do not reveal what covers an element. */
export async function colourIn(
  shown: Locator,
  position: { readonly x: number; readonly y: number },
): Promise<number[]> {
  await shown.scrollIntoViewIfNeeded();
  const box = await shown.boundingBox();
  if (!box) throw new Error('it is not shown');
  const clip = { x: Math.round(box.x + position.x), y: Math.round(box.y + position.y), width: 1, height: 1 };
  const png = await shown.page().screenshot({ clip });
  // The image is one pixel: a filter byte, then its channels.
  return [...inflateSync(Buffer.concat([...imageData(png)])).subarray(1, 4)];
}

/** The IDAT chunks of a PNG. Each chunk is a length, a name, the data and a checksum. */
function* imageData(png: Buffer): Generator<Buffer> {
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') yield png.subarray(at + 8, at + 8 + length);
    at += length + 12;
  }
}

/** @returns true if the page overflows the window horizontally. */
export function scrollsSideways(page: Page): Promise<boolean> {
  return page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
}
