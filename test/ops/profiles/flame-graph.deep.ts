import assert from 'node:assert/strict';
import { launchBrowser, WatchedPage } from '../../support/browser';
import { inSuite } from '../../support/suite';
import { OpsWeb, SIGNED } from '../ops-web';
import { PHONE, sessionOf } from '../page-check';
import { OPERATOR, Visitor } from '../visitor';

describe('the flame graph of a profile', () => {
  const ops = inSuite('stop', () => OpsWeb.start(SIGNED));
  const browser = inSuite('close', launchBrowser);

  it('is drawn by a viewer that the content security policy allows', async () => {
    const visitor = await Visitor.signIn(ops, OPERATOR);
    const { page, troubles } = await WatchedPage.open(browser);
    await page.context().addCookies(sessionOf(visitor, ops.url));
    await page.goto(`${ops.url}/ops/profiles?process=primary`);
    await page.fill('[name="seconds"]', '1');
    await page.click('[name="kind"][value="cpu"]');
    // The page loads again by itself until it is complete.
    await page.click('a[href*="/ops/profiles/flame/"]');
    await page.getByText('Time Order').waitFor();
    assert.match(await page.title(), /-primary-\d+\.cpuprofile/);
    assert.ok((await page.locator('canvas').count()) > 0);
    assert.deepEqual(troubles, []);
    const phone = await WatchedPage.open(browser, PHONE);
    await phone.page.context().addCookies(sessionOf(visitor, ops.url));
    await phone.page.goto(page.url());
    await phone.page.getByText('Time Order').waitFor();
    const places = ['Time Order', 'Left Heavy', 'Sandwich', 'Export', 'Import', 'Help'].map((label) =>
      phone.page.locator('body *').filter({ hasText: label }).last().boundingBox(),
    );
    const boxes = (await Promise.all(places)).map((box) => box ?? assert.fail('it is not shown'));
    const rights = [0, ...boxes.map(({ x, width }) => x + width)];
    for (const [at, { x }] of boxes.entries()) assert.ok(x >= (rights[at] ?? 0), JSON.stringify(boxes));
  });
});
