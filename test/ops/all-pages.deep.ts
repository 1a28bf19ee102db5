import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { launchBrowser, WatchedPage } from '../support/browser';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { useShopPages } from './jobs/shop-pages';
import { Mailbox } from './mail/mailbox';
import { checkPages, type PageToCheck, PHONE, sessionOf } from './page-check';

/** Those that need a tree are in mail/previews.deep.ts and overview/tree.deep.ts. */
describe('all pages are accessible and fit a phone', () => {
  const shop = useShopPages();
  const browser = inSuite('close', launchBrowser);
  let pages: Record<string, string | PageToCheck>;
  before(async () => {
    pages = { ...(await pagesOfMails()), ...(await pagesOfJobs()) };
  });

  async function pagesOfJobs(): Promise<typeof pages> {
    const [id = ''] = await shop.seed(4);
    const waiting = await shop.store('ready', { args: [{ invoice: 'inv_9' }] });
    await shop.store('scheduled', { errors: ['no'], at: Date.now() + 3_600_000 });
    await shop.storeDead({
      args: [{ long: 'x'.repeat(190) }],
      errors: [`Error: ${'y'.repeat(300)}`],
      tags: ['billing', 'a-long-tag-of-somebody'],
      at: Date.now(),
    });
    await shop.pause('mailer', 'pages:203.0.113.7');
    await storeBatches();
    await storeRuns();
    await shop.ops.database.query(
      `insert into ops_deploys values ('v41', now() - interval '2 hours'), ('0123456789ab', now() - interval '1 minute')`,
    );
    await storeLog();
    storeProfiles();
    await until(
      'the recurring jobs are stored',
      async () => (await shop.ops.database.query('select from job_cron')).length > 0,
    );
    await shop.ops.database.query(`
      insert into job_cron select (jsonb_populate_record(cron, '{"name": "send-the-digest-of-the-week-to-everybody"}')).*
      from job_cron cron limit 1`);
    return {
      overview: '/ops',
      queues: '/ops/jobs/queues',
      queue: '/ops/jobs/queues/default',
      'queue-paused': '/ops/jobs/queues/mailer',
      clear: '/ops/jobs/queues/default/clear',
      busy: '/ops/jobs/busy',
      scheduled: '/ops/jobs/scheduled',
      retries: '/ops/jobs/retry',
      'dead-filtered': '/ops/jobs/dead?class=SyncInvoiceJob&q=inv',
      'dead-ticked': '/ops/jobs/dead?select=page',
      'dead-none': '/ops/jobs/dead?q=synkinvoice&queue=mailer',
      cron: '/ops/jobs/cron',
      batches: '/ops/jobs/batches',
      classes: '/ops/jobs/classes',
      class: '/ops/jobs/classes/SyncInvoiceJob',
      job: `/ops/jobs/job/default/${id}`,
      'job-waiting': `/ops/jobs/job/default/${waiting}`,
      confirm: '/ops/jobs/dead/confirm?all=1',
      search: '/ops/search?q=inv_1',
      'search-story': '/ops/search?q=req-77',
      'search-nothing': '/ops/search',
      requests: '/ops/requests',
      deploys: '/ops/deploys',
      audit: '/ops/audit',
      profiles: '/ops/profiles?process=primary',
      gone: { path: `/ops/jobs/job/default/${randomUUID()}`, status: 404 },
      refused: { path: '/ops/jobs/dead?page=0', status: 400 },
    };
  }

  /** Lines of a failed request, one with a long message. */
  async function storeLog(): Promise<void> {
    const line = (more: object) => JSON.stringify({ level: 'error', process: 'web.0', requestId: 'req-77', ...more });
    const err = {
      type: 'Error',
      message: 'no such column',
      stack: `Error: no\n${'    at charge (/app/a.ts:1)\n'.repeat(9)}`,
    };
    await shop.ops.database.query(
      `insert into ops_log (at, request_id, level, status, line) values (now(), 'req-77', 'error', null, $1), (now(), 'req-77', 'error', 500, $2)`,
      [
        line({ msg: `POST /invoices failed: no such column ${'x'.repeat(200)}`, err }),
        line({
          msg: 'POST /invoices 500 in 12 ms',
          method: 'POST',
          path: '/invoices',
          status: 500,
          sqlMs: 7,
          sqlCount: 3,
        }),
      ],
    );
  }

  /** One by itself, one of a heap, and one that is being taken. */
  function storeProfiles(): void {
    const folder = path.join(shop.ops.folder, '.catamount/profiles');
    fs.mkdirSync(folder, { recursive: true });
    const files = ['job-processor-4213-lag.cpuprofile', 'worker-10-4194303.heapsnapshot', 'primary-42.cpuprofile.part'];
    for (const [index, name] of files.entries())
      fs.writeFileSync(path.join(folder, `20261203T08405812${index}Z-${name}`), 'x'.repeat(99_999));
  }

  /** Two days of runs of one class, and its last ones. */
  async function storeRuns(): Promise<void> {
    await shop.ops.database.query(
      `insert into job_stats (span, at, kind, name, counts, runs)
       select 'hour', date_trunc('hour', now()) - n * interval '1 hour', 'job', 'SyncInvoiceJob', array[n % 7, n % 3]::float8[], null
       from generate_series(0, 48) n
       union all select 'total', 'epoch', 'job', 'SyncInvoiceJob', array[99, 9]::float8[],
         jsonb_build_array(jsonb_build_array(gen_random_uuid(), 1764000000000, 12, 0), jsonb_build_array(gen_random_uuid(), 1764000000000, null, 2))
       on conflict (span, at, kind, name) do update set counts = excluded.counts, runs = excluded.runs`,
    );
  }

  /** One in each state, some with what is long. */
  async function storeBatches(): Promise<void> {
    const { database } = shop.ops;
    const long = `import of ${'all the orders of a year, and of '.repeat(5)}others`.slice(0, 200);
    await database.query(
      `insert into job_batches (id, description, tags, callbacks, total, sealed_at, completed_at, outcome, ended_at)
       select gen_random_uuid(), description, tags, '{}', 1234567, case when state <> 'filling' then now() end,
         case when state not in ('filling', 'running') then now() end,
         case when state in ('succeeded', 'cancelled') then state end,
         case when state in ('succeeded', 'cancelled') then now() end
       from (values ('filling', '', '{}'::text[]), ('running', $1, array['may', 'a-long-tag-of-somebody', $2]), ('completed', $2, '{}'),
         ('succeeded', 'mails of May', array['may']), ('cancelled', 'x', '{}')) as batch (state, description, tags)`,
      [long, 'w'.repeat(100)],
    );
    await database.query(
      `update job_dead set batch_id = (select id from job_batches where completed_at is not null limit 1)`,
    );
  }

  async function pagesOfMails(): Promise<typeof pages> {
    const box = new Mailbox(shop.ops);
    const html = `<p>${'A welcome. '.repeat(200)}</p>`;
    const address = 'a.very.long.address.that.somebody.has@a.long.example.com';
    const names = [
      await box.send({
        subject: `A subject that goes on ${'and on '.repeat(20)}`,
        html,
        to: [{ name: 'Ada', address }],
      }),
      await box.send({ subject: 'A plain one' }),
    ];
    await shop.ops.database.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, response, error)
      select state, 'UserMailer', 'welcome', array['ada@example.com'], 'Welcome to Catamount', '<1@example.com>', state,
        gen_random_uuid(), now(), 1, '250 2.0.0 Ok', case state when 'failed' then '550 5.1.1 ${'no such user '.repeat(8)}' end
      from unnest(array['sent', 'failed', 'claimed']) state`);
    return {
      inbox: '/ops/mail/inbox',
      mail: `/ops/mail/inbox/${names[0]}`,
      'mail-text': `/ops/mail/inbox/${names[1]}`,
      'clear-inbox': '/ops/mail/inbox/clear',
      deliveries: '/ops/mail/deliveries',
      'deliveries-nothing': '/ops/mail/deliveries?q=nobody@nowhere',
      delivery: '/ops/mail/deliveries/failed',
    };
  }

  for (const locale of ['en', 'ko'] as const)
    it(`in ${locale}`, async () => {
      const language = locale === 'ko' ? 'ko-KR' : 'en-GB';
      const { page, troubles } = await WatchedPage.open(browser, { ...PHONE, locale: language });
      const { url } = shop.ops;
      await checkPages(page, url, { 'sign-in': '/ops' });
      await page.context().addCookies(sessionOf(shop.operator, url));
      await checkPages(page, url, pages);
      // The browser reports what the sandbox of a mail has blocked, which is expected.
      const ours = troubles.filter((trouble) => !/document's frame is sandboxed|"img-src data:"/.test(trouble));
      assert.deepEqual(ours, []);
      await page.context().close();
    });
});
