import assert from 'node:assert/strict';
import {
  type Browser,
  launchBrowser,
  type Page,
  scrollsSideways,
  shoot,
  violations,
  WatchedPage,
} from '../../support/browser';
import { OpsWeb, SIGNED } from '../ops-web';

const LIST = '/ops/mail/deliveries';
const ANSWER = '5.1.1 <nobody@example.com> no such user here, and a long answer that tells at length of why';

describe('deliveries in a browser', () => {
  let ops: OpsWeb;
  let browser: Browser;
  before(async () => {
    [ops, browser] = await Promise.all([OpsWeb.start(SIGNED), launchBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await ops?.stop();
  });

  /** Inserts deliveries of yesterday and today, in every state. */
  const fill = () =>
    ops.database.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, response, error, created_at)
      select 'job-' || n || '/x/1', 'UserMailer', 'welcome', array['user' || n || '@example.com'],
        case n % 2 when 0 then 'Welcome to Catamount' else 'Catamount에 오신 것을 환영합니다' end, '<' || n || '@example.com>',
        state, gen_random_uuid(), now(), 1, case state when 'sent' then '250 2.0.0 Ok' end,
        case state when 'failed' then '${ANSWER}' end, now() - (160 - n) * interval '15 minutes'
      from (select n, case when n = 160 then 'claimed' when n % 50 = 9 then 'failed' else 'sent' end as state
        from generate_series(1, 160) n) as mails`);
  const signIn = async (password: string): Promise<Page> => {
    const { page } = await WatchedPage.open(browser, { baseURL: ops.url });
    await page.goto(LIST);
    await page.getByLabel('Name').fill(SIGNED.OPS_USER);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor();
    return page;
  };

  it('are accessible, and do not scroll sideways on a phone', async () => {
    const page = await signIn(SIGNED.OPS_PASSWORD);
    const visit = async (name: string, at: string) => {
      await page.goto(at);
      await shoot(page, name);
      assert.deepEqual(await violations(page), [], name);
      await page.setViewportSize({ width: 320, height: 700 });
      assert.equal(await scrollsSideways(page), false, name);
    };
    await visit('deliveries-empty.en', `${LIST}?locale=en`);
    await fill();
    for (const locale of ['en', 'ko']) await visit(`deliveries.${locale}`, `${LIST}?locale=${locale}`);
    await visit('deliveries-nothing.en', `${LIST}?q=nobody@nowhere&locale=en`);
    await page.goto(`${LIST}?state=failed`);
    await page.locator('tbody a').first().click();
    const { pathname } = new URL(page.url());
    for (const locale of ['en', 'ko']) await visit(`delivery.${locale}`, `${pathname}?locale=${locale}`);
  });

  it('are accessible to viewers', async () => {
    const page = await signIn(SIGNED.OPS_VIEWER_PASSWORD);
    await shoot(page, 'deliveries-viewer.en');
    assert.deepEqual(await violations(page), []);
  });
});
