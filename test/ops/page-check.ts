import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type Page, scrollsSideways, violations } from '../support/browser';
import type { Visitor } from './visitor';

/** The minimum size of a touch target, px. */
const FINGER = 44;
const SCRIPT = fs.readFileSync(path.join(__dirname, 'touch-faults.js'), 'utf8');
/** A browser context of a phone. */
export const PHONE = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 1 };

/** The session of somebody who is signed in, for a browser. */
export function sessionOf({ cookies }: Visitor, url: string): { name: string; value: string; url: string }[] {
  return cookies.split('; ').map((pair) => {
    const [name = '', ...value] = pair.split('=');
    return { name, value: value.join('='), url };
  });
}

interface Faults {
  readonly small: readonly string[];
  readonly overlaps: readonly string[];
  /** Frames that are taller than the window. */
  readonly tall: readonly string[];
}

/** The window of a laptop, and what a page must not have there. */
const LAPTOP = { width: 1280, height: 800 };
const WIDE_FAULTS = `[
  ...[...document.querySelectorAll('.nav')].filter((nav) => nav.scrollWidth > nav.clientWidth + 1).map(() => 'the navigation is cut'),
  ...[...document.querySelectorAll('.panel')].flatMap((panel) => [...panel.querySelectorAll('td, .tag')]
    .filter((one) => one.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1)
    .map((one) => 'beyond its panel: ' + one.textContent.trim())),
  ...[...document.querySelectorAll('.tag:not(a, :has(a))')].filter((tag) => tag.clientHeight > 30).map((tag) => 'a tag of two lines: ' + tag.textContent.trim()),
]`;

export interface PageToCheck {
  readonly path: string;
  /** Default 200. */
  readonly status?: number;
}

/**
 * Visits pages on a phone, and checks that each is accessible, that nothing scrolls sideways down to 320 px, overlaps or is
 * too small to touch, and that a laptop shows all of it.
 */
export async function checkPages(
  page: Page,
  url: string,
  pages: Readonly<Record<string, string | PageToCheck>>,
): Promise<void> {
  const faults: object[] = [];
  for (const [name, given] of Object.entries(pages)) {
    const { path: at, status = 200 } = typeof given === 'string' ? { path: given } : given;
    const answer = await page.goto(url + at);
    // Otherwise the sign-in page could be checked in place of the page.
    const asksWho = (await page.locator('form[action="/ops/sign-in"]').count()) > 0;
    assert.deepEqual([answer?.status(), asksWho], [status, name === 'sign-in'], name);
    await page.evaluate(SCRIPT);
    const { small, overlaps, tall } = await page.evaluate<Faults>(`touchFaults(${FINGER})`);
    await page.setViewportSize({ width: 320, height: 740 });
    const found = [...small, ...overlaps, ...tall, ...((await scrollsSideways(page)) ? ['it scrolls sideways'] : [])];
    found.push(...(await violations(page)));
    await page.setViewportSize(LAPTOP);
    found.push(...(await page.evaluate<string[]>(WIDE_FAULTS)));
    if (found.length > 0) faults.push({ name, found });
    await page.setViewportSize(PHONE.viewport);
  }
  assert.deepEqual(faults, []);
}
