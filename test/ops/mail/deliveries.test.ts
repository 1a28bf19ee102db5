import assert from 'node:assert/strict';
import path from 'node:path';
import { UserMailer } from '../../../lib/app/mailers/user-mailer';
import { Events } from '../../../lib/core/events';
import { runInContext } from '../../../lib/core/execution-context';
import { Deadline } from '../../../lib/support/deadline';
import { LONG_MS, mailDelivery, useSmtpDelivery } from '../../mailer/mail-system';
import { startSmtpSink } from '../../support/smtp';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import SendReceiptsJob from '../jobs/shop/jobs/send-receipts';
import { useShopPages } from '../jobs/shop-pages';
import { viewOf } from '../page-view';

const LIST = '/ops/mail/deliveries';

interface Shown {
  readonly total: number;
  readonly deliveries: {
    readonly key: string;
    readonly state: string;
    readonly outcome: string;
    readonly recipients: string[];
    readonly response: string | null;
    readonly next_attempt_at: string | null;
  }[];
}

describe('deliveries', () => {
  const shop = useShopPages();
  const sink = inSuite('stop', startSmtpSink);
  const operator = inSuite(undefined, () => shop.operator);
  const smtp = useSmtpDelivery(() => [shop.database.knex, new Events()], sink);
  beforeEach(async () => {
    await shop.reset();
    await shop.ops.database.query('truncate mail_deliveries');
  });

  const welcome = (email: string) => UserMailer.welcome({ email, name: null, locale: 'en' });
  const list = (query = '') => operator.json<Shown>(`${LIST}${query}`);
  /** Inserts records one second apart, as many as a busy app has. */
  const fill = (count: number) =>
    shop.ops.database.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, response, error, created_at)
      select 'job' || n || '/x/1', 'UserMailer', case n % 3 when 0 then 'welcome' else 'goodbye' end,
        array['user' || n || '@example.com'], 'Subject ' || n, '<' || n || '@example.com>',
        case when n % 100 = 0 then 'failed' else 'sent' end, gen_random_uuid(), now(), 1,
        '250 2.0.0 Ok', null, now() - (${count} - n) * interval '1 second'
      from generate_series(1, ${count}) n`);

  it('show the outcome of each mail, with the reply of the server', async () => {
    await smtp.deliver(welcome('ada@example.com'));
    sink.failNext(550, '5.1.1 <nobody@example.com> no such user', 'rcpt');
    await assert.rejects(
      runInContext({ jobId: 'job-7', attempt: 1 }, () => smtp.deliver(welcome('nobody@example.com'))),
    );
    sink.hold();
    const slow = smtp.deliver(welcome('slow@example.com'));
    await until('the server holds its reply to the mail', () => sink.waiting === 1);
    const { deliveries } = await list();
    const outcomes = deliveries.map(({ state, recipients: [to] }) => `${state} ${to}`);
    assert.deepEqual(outcomes, ['claimed slow@example.com', 'failed nobody@example.com', 'sent ada@example.com']);
    assert.match(String(deliveries[2]?.response), /^250 /);
    const { body } = await operator.get(LIST);
    const { rows, text } = viewOf(body);
    assert.match(rows[1]?.join(' ') ?? '', /5\.1\.1 <nobody@example\.com> no such user/);
    assert.match(text, /1 sent today, 1 failed, 1 being sent\./);
    sink.release();
    await slow;
    assert.equal((await list('?state=claimed')).total, 0);
    const [, href = ''] = /href="(\/ops\/mail\/deliveries\/job-7[^"]*)"/.exec(body) ?? [];
    const { facts } = await operator.view(href);
    assert.match(facts.get('Answer') ?? '', /no such user/);
    assert.deepEqual([facts.get('To'), facts.get('Template')], ['nobody@example.com', 'UserMailer#welcome']);
    assert.equal((await operator.get(`${LIST}/job-8/x/1`)).status, 404);
  });

  it('link to the mail when it was written to a file', async () => {
    const mail = { delivery: 'file', dir: path.join(shop.ops.folder, '.catamount/mails') } as const;
    const files = await mailDelivery(shop.database.knex, new Events(), mail);
    await files.deliver(welcome('file@example.com'));
    await files.stop(Deadline.after(LONG_MS));
    const [{ key } = assert.fail()] = (await list()).deliveries;
    const { links } = await operator.view(`${LIST}/${key}`);
    const inbox = [...links.values()].find((href) => href.startsWith('/ops/mail/inbox/')) ?? '';
    assert.match(await operator.read(inbox), /file@example\.com/);
  });

  it('can be filtered, searched and paginated', async () => {
    await fill(10_050);
    assert.match(await operator.read(LIST), /1–50 of more than 10.000/);
    for (const [query, total] of Object.entries({
      '': 10_000,
      '?state=failed': 100,
      '?state=failed&q=UserMailer%23welcome': 33,
      '?q=250%202.0.0&state=failed': 100,
      '?q=%25': 0,
      [`?q=${encodeURIComponent("' or 1=1 --")}`]: 0,
      '?state=elsewhere': 10_000,
    }))
      assert.equal((await list(query)).total, total, query);
    assert.deepEqual((await list('?q=USER10050@')).deliveries[0]?.recipients, ['user10050@example.com']);
    // Older than the newest 5,000: found by an address, as it is or in lower case, and not by words.
    assert.equal((await list('?q=USER7@example.com')).total, 1);
    assert.equal((await list('?q=user7@example.com&state=failed')).total, 0);
    assert.equal((await list('?q=user7@')).total, 0);
    const second = await list('?state=failed&page=2');
    assert.deepEqual([second.deliveries.length, second.deliveries[49]?.recipients], [50, ['user100@example.com']]);
  });

  describe('of a mail that its job has not sent', () => {
    beforeEach(() => shop.processor());

    /** Has a job's mail refused with this code. @returns the ids of the job and of its delivery, and the delivery. */
    async function refused(code: number, words: string) {
      sink.failNext(code, words, 'rcpt');
      const { id } = await SendReceiptsJob.performLater(['late@example.com']);
      const event = code < 500 ? 'job.retrying' : 'job.dead';
      await until('its job has failed', () => shop.eventsNamed(event).some((job) => job.id === id));
      const [delivery = assert.fail()] = (await list()).deliveries;
      return { id, delivery, href: `${LIST}/${delivery.key}`, job: `/ops/jobs/job/mailer/${id}` };
    }
    const busy = () => refused(450, '4.2.1 <late@example.com> mailbox busy');

    it('say when it is tried again, with the reply of the server, and link to its job, which links back', async () => {
      const { id, delivery, href, job } = await busy();
      const [row] = await shop.ops.database.query<{ run_at: Date }>('select run_at from job_queue where id = $1', [id]);
      const { state, outcome, next_attempt_at } = delivery;
      assert.deepEqual([state, outcome, next_attempt_at], ['failed', 'retrying', row?.run_at.toISOString()]);
      for (const at of [LIST, href]) {
        const { body } = await operator.get(at);
        assert.match(viewOf(body).text, /450 4\.2\.1 <late@example\.com> mailbox busy/);
        assert.match(viewOf(body).text, /to be retried .*next in \d+ s/);
        assert.doesNotMatch(body, /data-state="bad"/);
        assert.ok(body.includes(`href="${job}"`), 'it links to its job');
      }
      const page = await operator.view(job);
      assert.deepEqual(page.rows[0]?.[0], 'late@example.com');
      assert.equal(page.links.get('Welcome to Catamount'), href);
    });

    it('are shown as failed once the job is dead or deleted', async () => {
      const { id, delivery, href } = await refused(550, '5.1.1 no such user');
      assert.deepEqual([delivery.outcome, delivery.next_attempt_at], ['failed', null]);
      assert.match(await operator.read(href), /Its job is dead: an operator can retry it there\./);
      const fields = { action: 'delete', id: `mailer/${id}`, confirmed: '1', expected: '1' };
      await operator.act('/ops/jobs/dead/action', fields);
      assert.match(await operator.read(href), /Its job is gone: it will not be sent again\./);
      assert.equal((await list()).deliveries[0]?.outcome, 'failed');
    });

    it('say so when the job waits on its queue, and without Redis, too', async () => {
      const { id, href } = await busy();
      await operator.act('/ops/jobs/queues/mailer/pause');
      await operator.act('/ops/jobs/retry/action', { action: 'retry', id: `mailer/${id}` });
      await shop.stopProcessors();
      await shop.ops.redis.stop();
      assert.equal((await list()).deliveries[0]?.outcome, 'retrying');
      assert.match(await operator.read(href), /Its job waits on its queue to send it again\./);
    });

    it('count apart from failures, here and on the overview', async () => {
      await busy();
      await refused(550, '5.1.1 no such user');
      assert.match(await operator.read(LIST), /0 sent today, 1 failed, 1 to be retried\. /);
      assert.match(await operator.read(`${LIST}?locale=ko`), /1통 실패, 1통 재시도 예정/);
      const text = await until('the overview has counted them', async () => {
        const page = await operator.read('/ops');
        return /1 to be retried/.test(page) && page;
      });
      assert.doesNotMatch(text, /Mail fails/);
    });
  });
});
