import assert from 'node:assert/strict';
import path from 'node:path';
import { UserMailer } from '../../../lib/app/mailers/user-mailer';
import type { Locale } from '../../../lib/core/config';
import { Events } from '../../../lib/core/events';
import { runInContext } from '../../../lib/core/execution-context';
import { loadI18n } from '../../../lib/core/i18n';
import { MailDelivery } from '../../../lib/mailer/delivery/delivery';
import { DeliveryRecord } from '../../../lib/mailer/delivery/delivery-record';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/async';
import { APP_LOCALES, APP_TEMPLATES } from '../../mailer/stage';
import { SmtpSink } from '../../support/smtp';
import { until } from '../../support/until';
import { OpsWeb, SIGNED } from '../ops-web';

const LIST = '/ops/mail/deliveries';

interface Shown {
  readonly total: number;
  readonly deliveries: { readonly state: string; readonly recipients: string[]; readonly response: string | null }[];
}

describe('deliveries', () => {
  let ops: OpsWeb;
  let sink: SmtpSink;
  let database: Database;
  let operator: { readonly Cookie: string };
  let viewer: { readonly Cookie: string };
  const deliveries: MailDelivery[] = [];

  before(async () => {
    ops = await OpsWeb.start(SIGNED);
    sink = new SmtpSink();
    await sink.start();
    database = new Database(ops.database.url, { production: false, events: new Events() });
    operator = { Cookie: await ops.signIn(SIGNED.OPS_PASSWORD) };
    viewer = { Cookie: await ops.signIn(SIGNED.OPS_VIEWER_PASSWORD) };
  });
  after(async () => {
    for (const delivery of deliveries) await delivery.stop(Deadline.after(2000));
    await database?.stop(Deadline.after(2000));
    await sink?.stop();
    await ops?.stop();
  });
  beforeEach(() => ops.database.query('truncate mail_deliveries'));

  /** A delivery like that of the job processor. */
  const deliveryBy = async (method: 'smtp' | 'file') => {
    const delivery = new MailDelivery({
      config: {
        mail: {
          delivery: method,
          smtpUrl: sink.url,
          from: 'Shop <hello@shop.example>',
          dir: path.join(ops.folder, '.catamount/mails'),
        },
        appUrl: 'https://shop.example',
        defaultLocale: 'en',
        environment: 'production',
      },
      record: new DeliveryRecord(database.knex),
      i18n: await loadI18n([APP_LOCALES], 'en'),
      templatesDir: APP_TEMPLATES,
      events: new Events(),
    });
    deliveries.push(delivery);
    return delivery;
  };
  const welcome = (email: string, locale: Locale = 'en') => UserMailer.welcome({ email, name: null, locale });
  /** Inserts records one second apart, as many as a busy app has. */
  const fill = (count: number) =>
    ops.database.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, response, error, created_at)
      select 'job' || n || '/x/1', 'UserMailer', case n % 3 when 0 then 'welcome' else 'goodbye' end,
        array['user' || n || '@example.com'], 'Subject ' || n, '<' || n || '@example.com>',
        case when n % 100 = 0 then 'failed' else 'sent' end, gen_random_uuid(), now(), 1,
        '250 2.0.0 Ok', null, now() - (${count} - n) * interval '1 second'
      from generate_series(1, ${count}) n`);
  const shown = async (query = '', headers = operator) =>
    (await ops.get(`${LIST}.json${query}`, headers)).json<Shown>();

  it('show the outcome of each mail, with the reply of the server', async () => {
    const smtp = await deliveryBy('smtp');
    await smtp.deliver(welcome('ada@example.com'));
    sink.failNext(550, '5.1.1 <nobody@example.com> no such user', 'rcpt');
    await assert.rejects(
      runInContext({ jobId: 'job-7', attempt: 1 }, () => smtp.deliver(welcome('nobody@example.com'))),
    );
    sink.hold();
    const slow = smtp.deliver(welcome('slow@example.com'));
    await until('the server holds its reply to the mail', () => sink.waiting === 1);
    const { total, deliveries: rows } = await shown();
    assert.equal(total, 3);
    assert.deepEqual(
      rows.map(({ state, recipients: [to] }) => `${state} ${to}`),
      ['claimed slow@example.com', 'failed nobody@example.com', 'sent ada@example.com'],
    );
    assert.match(String(rows[2]?.response), /^250 /);
    const page = (await ops.get(LIST, operator)).body;
    assert.match(page, /5\.1\.1 &lt;nobody@example\.com&gt; no such user/);
    assert.match(page, /1 sent today, 1 failed, 1 being sent\./);
    sink.release();
    await slow;
    assert.deepEqual((await shown('?state=claimed')).total, 0);
    const [, href = ''] = /href="(\/ops\/mail\/deliveries\/job-7[^"]*)"/.exec(page) ?? [];
    const one = (await ops.get(href, operator)).body;
    for (const told of ['no such user', 'nobody@example.com', 'UserMailer#welcome', 'job-7'])
      assert.ok(one.includes(told), told);
    assert.equal((await ops.get(`${LIST}/job-8/x/1`, operator)).status, 404);
  });

  it('link to the mail when it was written to a file', async () => {
    await (await deliveryBy('file')).deliver(welcome('file@example.com'));
    const [, href = ''] =
      /href="(\/ops\/mail\/deliveries\/once[^"]*)"/.exec((await ops.get(LIST, operator)).body) ?? [];
    const [, mail = ''] = /href="(\/ops\/mail\/inbox\/[^"]*)"/.exec((await ops.get(href, operator)).body) ?? [];
    assert.match((await ops.get(mail, operator)).body, /file@example\.com/);
  });

  it('can be filtered, searched and paginated', async () => {
    await fill(10_050);
    assert.equal((await shown()).total, 10_000);
    assert.match((await ops.get(LIST, operator)).body, /1–50 of more than 10\u202f000/);
    assert.equal((await shown('?state=failed')).total, 100);
    assert.equal((await shown('?state=failed&template=UserMailer%23welcome')).total, 33);
    assert.deepEqual((await shown('?q=USER10050@')).deliveries[0]?.recipients, ['user10050@example.com']);
    assert.equal((await shown('?q=250%202.0.0&state=failed')).total, 100);
    assert.equal((await shown('?q=%25')).total, 0);
    assert.equal((await shown(`?q=${encodeURIComponent("' or 1=1 --")}`)).total, 0);
    assert.equal((await shown('?state=elsewhere')).total, 10_000);
    const second = await shown('?state=failed&page=2');
    assert.deepEqual([second.deliveries.length, second.deliveries[49]?.recipients], [50, ['user100@example.com']]);
  });

  it('hide addresses from viewers, who have no access to previews and the inbox', async () => {
    await fill(3);
    const smtp = await deliveryBy('smtp');
    sink.failNext(550, '5.1.1 <nobody@example.com> no such user', 'rcpt');
    await assert.rejects(smtp.deliver(welcome('nobody@example.com')));
    for (const at of [LIST, `${LIST}.json`]) {
      const { body, status } = await ops.get(at, viewer);
      assert.equal(status, 200);
      assert.doesNotMatch(body, /user\d|example\.com|Subject \d|nobody/, at);
      assert.match(body, /no such user/);
    }
    assert.equal((await shown('?q=user1', viewer)).total, 4);
    for (const at of [`${LIST}/job1/x/1`, '/ops/mail/inbox', '/ops/mail/inbox/clear', '/ops/mail/inbox/events'])
      assert.equal((await ops.get(at, viewer)).status, 403, at);
    for (const at of ['', '/body', '/mail.eml', '/send'])
      assert.equal((await ops.get(`/ops/mail/previews/UserMailer/welcome${at}`, viewer)).status, 403, at);
    assert.equal((await ops.get('/ops/mail', viewer)).headers.location, LIST);
  });
});
