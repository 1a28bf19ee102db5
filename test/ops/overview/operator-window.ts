import assert from 'node:assert/strict';
import type { BrowserContextOptions } from 'playwright-core';
import { type Browser, type Page, WatchedPage, wordsOf } from '../../support/browser';
import type { Tree } from '../../support/tree';
import { SIGNED } from '../ops-web';

/** A browser window in which an operator is signed in to the pages of a real tree. */
export class OperatorWindow {
  private constructor(
    private readonly watched: WatchedPage,
    readonly tree: Tree,
  ) {}

  /** Signs in on the page, and ends up at the overview. */
  static async open(browser: Browser, tree: Tree, options: BrowserContextOptions = {}): Promise<OperatorWindow> {
    const watched = await WatchedPage.open(browser, options);
    const { page } = watched;
    await page.goto(`${tree.baseUrl}/ops`);
    await page.getByLabel('Name').fill(SIGNED.OPS_USER);
    await page.getByLabel('Password').fill(SIGNED.OPS_PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { level: 1 }).waitFor();
    return new OperatorWindow(watched, tree);
  }

  get page(): Page {
    return this.watched.page;
  }

  /** Errors in the window, except for event streams that broke because their worker died. */
  get troubles(): string[] {
    return this.watched.troubles.filter((text) => !text.includes('ERR_INCOMPLETE_CHUNKED_ENCODING'));
  }

  async goto(path: string): Promise<void> {
    await this.page.goto(this.tree.baseUrl + path);
  }

  /** The card of a process: `worker-0`, `jobs`. */
  card(id: string) {
    return this.page.locator(`#p-${id} > .node`);
  }

  /** Waits until the card is in that state. */
  async waitForCard(
    id: string,
    state: { readonly tone?: string; readonly phase?: string; readonly say?: RegExp },
  ): Promise<void> {
    const { tone, phase, say } = state;
    const selector = `#p-${id}${tone === undefined ? '' : `[data-state="${tone}"]`} > .node`;
    let card = this.page.locator(selector);
    if (phase !== undefined) card = card.filter({ has: this.page.locator('.phase', { hasText: phase }) });
    if (say) card = card.filter({ has: this.page.locator('.say', { hasText: say }) });
    await card.waitFor();
  }

  /** The pid that the card shows. */
  async pidOf(id: string): Promise<number> {
    const say = this.card(id).locator('.say', { hasText: /pid \d+/ });
    const pid = Number(/pid (\d+)/.exec(await wordsOf(say))?.[1]);
    assert.ok(pid > 0);
    return pid;
  }

  /** Presses the button of the confirmation page, and ends up at the overview. */
  async confirm(question: RegExp, button: string): Promise<void> {
    await this.page.getByRole('heading', { name: question }).waitFor();
    await this.page.getByRole('button', { name: button }).click();
    await this.page.locator('.note[role="status"]').waitFor();
  }

  async close(): Promise<void> {
    await this.watched.close();
  }
}
