import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { store, storeDead } from '../job/sets/stored-job';
import { type Browser, launchBrowser, WatchedPage } from '../support/browser';
import { until } from '../support/until';
import { seed } from './jobs/shop-seeds';
import { ShopStage } from './jobs/shop-stage';
import { DevCopy } from './mail/dev-copy';
import { Mailbox } from './mail/mailbox';
import { BEARER, OpsWeb, SIGNED } from './ops-web';

/** The minimum size of a touch target, px. */
const FINGER = 44;
const PHONE = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 1 };

const SCRIPT = fs.readFileSync(path.join(__dirname, 'phone-faults.js'), 'utf8');

interface Faults {
  readonly small: readonly string[];
  readonly overlaps: readonly string[];
  readonly sideways: boolean;
  /** Frames that are taller than the window. */
  readonly tall: readonly string[];
}

describe('all pages on a phone', () => {
  let stage: ShopStage;
  let ops: OpsWeb;
  let browser: Browser;
  before(async () => {
    [ops, browser] = await Promise.all([OpsWeb.start(SIGNED), launchBrowser()]);
    // The last one to start is the one to which jobs of this process are connected.
    stage = await ShopStage.start(SIGNED);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([stage?.stop(), ops?.stop()]);
  });

  async function pagesOfJobs(): Promise<Record<string, string>> {
    const [id = ''] = await seed(stage, 4);
    const waiting = await store(stage.database.knex, 'ready', {
      class: 'SyncInvoiceJob',
      args: [{ invoice: 'inv_9' }],
    });
    const long = { class: 'SyncInvoiceJob', args: [{ long: 'x'.repeat(190) }], errors: [`Error: ${'y'.repeat(300)}`] };
    await storeDead(stage.database.knex, { ...long, tags: ['billing', 'a-long-tag-of-somebody'], at: Date.now() });
    await stage.pause('mailer', 'pages:203.0.113.7');
    await until(
      'the recurring jobs are stored',
      async () => (await stage.ops.database.query('select from job_cron')).length > 0,
    );
    await stage.ops.database.query(`
      insert into job_cron select (jsonb_populate_record(cron, '{"name": "send-the-digest-of-the-week-to-everybody"}')).*
      from job_cron cron limit 1`);
    return {
      overview: '/ops',
      processes: '/ops/processes',
      queues: '/ops/jobs/queues',
      queue: '/ops/jobs/queues/default',
      'queue-paused': '/ops/jobs/queues/mailer',
      clear: '/ops/jobs/queues/default/clear',
      busy: '/ops/jobs/busy',
      scheduled: '/ops/jobs/scheduled',
      retries: '/ops/jobs/retry',
      dead: '/ops/jobs/dead',
      'dead-filtered': '/ops/jobs/dead?class=SyncInvoiceJob&q=inv',
      'dead-ticked': '/ops/jobs/dead?select=page',
      'dead-none': '/ops/jobs/dead?q=synkinvoice&queue=mailer',
      cron: '/ops/jobs/cron',
      classes: '/ops/jobs/classes',
      job: `/ops/jobs/job/default/${id}`,
      'job-waiting': `/ops/jobs/job/default/${waiting}`,
      confirm: '/ops/jobs/dead/confirm?all=1',
      reschedule: '/ops/jobs/retry/confirm?all=1&action=reschedule',
      find: '/ops/jobs/find?q=inv_1',
      gone: `/ops/jobs/job/default/${randomUUID()}`,
      refused: '/ops/jobs/dead?page=0',
    };
  }

  async function pagesOfMails(): Promise<Record<string, string>> {
    const box = new Mailbox(ops);
    const html = `<p>${'A welcome. '.repeat(200)}</p>`;
    const names = [await box.send({ subject: 'Welcome', html }), await box.send({ subject: 'A plain one' })];
    await ops.database.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, response, error)
      select state, 'UserMailer', 'welcome', array['ada@example.com'], 'Welcome to Catamount', '<1@example.com>', state,
        gen_random_uuid(), now(), 1, '250 2.0.0 Ok', case state when 'failed' then '550 5.1.1 no such user' end
      from unnest(array['sent', 'failed', 'claimed']) state`);
    return {
      inbox: '/ops/mail/inbox',
      mail: `/ops/mail/inbox/${names[0]}`,
      'mail-text': `/ops/mail/inbox/${names[1]}`,
      'clear-inbox': '/ops/mail/inbox/clear',
      deliveries: '/ops/mail/deliveries',
      delivery: '/ops/mail/deliveries/failed',
    };
  }

  /** Pages that need a tree: it renders previews, and its processes can be restarted. */
  const PREVIEWS = {
    'restart-all': '/ops/processes/restart',
    previews: '/ops/mail',
    preview: '/ops/mail/previews/UserMailer/welcome',
    attachments: '/ops/mail/previews/GalleryMailer/invoice?part=text',
    headers: '/ops/mail/previews/GalleryMailer/invoice?part=headers',
    'test-mail': '/ops/mail/previews/GalleryMailer/invoice/send',
    landing: '/',
    nowhere: '/nowhere',
  };

  /** @param headers that open the pages when no passwords are set. */
  type At = Pick<OpsWeb, 'url'> & Partial<Pick<OpsWeb, 'signIn'>> & { readonly headers?: Record<string, string> };

  /** Error pages, by name; all others answer 200. */
  const FAULTY: Readonly<Record<string, number>> = { gone: 404, refused: 400, nowhere: 404 };

  async function look(of: At, locale: 'en' | 'ko', pages: Readonly<Record<string, string>>): Promise<void> {
    const watched = await WatchedPage.open(browser, {
      ...PHONE,
      locale: locale === 'ko' ? 'ko-KR' : 'en-GB',
      extraHTTPHeaders: of.headers ?? {},
    });
    const { page } = watched;
    const visit = async (name: string, at: string) => {
      const answer = await page.goto(of.url + at);
      // Otherwise the sign-in page could be checked in place of the page.
      const asksWho = (await page.locator('form[action="/ops/sign-in"]').count()) > 0;
      assert.deepEqual([answer?.status(), asksWho], [FAULTY[name] ?? 200, name === 'sign-in'], name);
      await page.evaluate(SCRIPT);
      const { small, overlaps, sideways, tall } = await page.evaluate<Faults>(`phoneFaults(${FINGER})`);
      const found = { small, overlaps, sideways, tall };
      if (small.length + overlaps.length + tall.length > 0 || sideways) faults.push({ name, ...found });
    };
    const faults: object[] = [];
    if (of.signIn) {
      await visit('sign-in', '/ops');
      const cookies = (await of.signIn(SIGNED.OPS_PASSWORD)).split('; ').map((pair) => {
        const [name = '', ...value] = pair.split('=');
        return { name, value: value.join('='), url: of.url };
      });
      await page.context().addCookies(cookies);
    }
    for (const [name, at] of Object.entries(pages)) await visit(name, at);
    assert.deepEqual(faults, []);
    // The browser reports what the sandbox of a mail has blocked, which is expected.
    const ours = watched.troubles.filter((trouble) => !/document's frame is sandboxed|"img-src data:"/.test(trouble));
    assert.deepEqual(ours, []);
    await watched.close();
  }

  for (const locale of ['en', 'ko'] as const) {
    it(`have large touch targets, and no overlapping elements: jobs and processes, ${locale}`, async () => {
      await stage.reset();
      await look(stage.ops, locale, await pagesOfJobs());
    });

    it(`have large touch targets, and no overlapping elements: mails, ${locale}`, async () => {
      await ops.database.query('truncate mail_deliveries');
      await look(ops, locale, await pagesOfMails());
    });

    it(`have large touch targets, and no overlapping elements: previews, ${locale}`, async () => {
      const copy = await DevCopy.start();
      try {
        await look({ url: copy.tree.baseUrl, headers: BEARER }, locale, PREVIEWS);
      } finally {
        await copy.stop();
      }
    });
  }
});
