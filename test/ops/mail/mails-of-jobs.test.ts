import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { loadI18n } from '../../../lib/core/i18n';
import { MailDelivery } from '../../../lib/mailer/delivery/delivery';
import { DeliveryRecord } from '../../../lib/mailer/delivery/delivery-record';
import { Mailer } from '../../../lib/mailer/mailer';
import { Deadline } from '../../../lib/support/async';
import { APP_LOCALES, APP_TEMPLATES, LONG_MS } from '../../mailer/stage';
import { type SmtpSink, startSmtpSink } from '../../support/smtp';
import { until } from '../../support/until';
import SendReceiptsJob from '../jobs/shop/jobs/send-receipts';
import { ShopStage } from '../jobs/shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from '../jobs/visitor';
import { SIGNED } from '../ops-web';

const LIST = '/ops/mail/deliveries';
const BUSY = '4.2.1 <late@example.com> mailbox busy, try again later';

interface Shown {
  readonly deliveries: {
    readonly key: string;
    readonly state: string;
    readonly outcome: string;
    readonly next_attempt_at: string | null;
  }[];
}

describe('mails whose jobs have failed', () => {
  let stage: ShopStage;
  let sink: SmtpSink;
  let delivery: MailDelivery;
  let operator: Visitor;
  let viewer: Visitor;

  before(async () => {
    sink = await startSmtpSink();
    stage = await ShopStage.start(SIGNED);
    [operator, viewer] = await Promise.all([Visitor.signIn(stage.ops, OPERATOR), Visitor.signIn(stage.ops, VIEWER)]);
    delivery = new MailDelivery({
      config: {
        mail: { delivery: 'smtp', smtpUrl: sink.url, from: 'Shop <hello@shop.example>', dir: '/nowhere' },
        appUrl: 'https://shop.example',
        defaultLocale: 'en',
        environment: 'production',
      },
      record: new DeliveryRecord(stage.database.knex),
      i18n: await loadI18n([APP_LOCALES], 'en'),
      templatesDir: APP_TEMPLATES,
      events: new Events(),
    });
    Mailer.connect(delivery);
  });
  after(async () => {
    Mailer.connect(undefined);
    await delivery?.stop(Deadline.after(LONG_MS));
    await stage?.stop();
    await sink?.stop();
  });
  beforeEach(async () => {
    await stage.reset();
    await stage.ops.database.query('truncate mail_deliveries');
    await stage.processor();
  });

  /** Has one job send a mail, and another one get a temporary refusal. @returns the id of the second job. */
  async function refusedForNow(): Promise<string> {
    const { id } = await SendReceiptsJob.performLater(['early@example.com']);
    await until('a mail has been sent', () => stage.eventsNamed('job.succeeded').some((job) => job.id === id));
    sink.failNext(450, BUSY, 'rcpt');
    const late = await SendReceiptsJob.performLater(['late@example.com', 'last@example.com']);
    await until('its job will run again', () => stage.eventsNamed('job.retrying').some((job) => job.id === late.id));
    return late.id;
  }

  /** Has a job's mail refused for good. @returns the id of the job. */
  async function refusedForGood(): Promise<string> {
    sink.failNext(550, '5.1.1 <nobody@example.com> no such user', 'rcpt');
    const { id } = await SendReceiptsJob.performLater(['nobody@example.com']);
    await until('its job is dead', () => stage.eventsNamed('job.dead').some((job) => job.id === id));
    return id;
  }

  const jobPath = (id: string) => `/ops/jobs/job/mailer/${id}`;
  const listed = async () => (await operator.json<Shown>(LIST)).deliveries;

  it('are shown as to be retried, with the time and the reply of the server', async () => {
    const id = await refusedForNow();
    const { body } = await operator.get(LIST);
    const text = textOf(body);
    assert.match(text, /^Deliveries 1 sent today, 1 to be retried\. /);
    assert.match(text, /450 4\.2\.1 <late@example\.com> mailbox busy, try again later/);
    assert.match(text, /to be retried next in \d+ s/);
    assert.doesNotMatch(body, /data-state="bad"/);
    assert.ok(body.includes(`href="${jobPath(id)}"`), 'it links to its job');
    const [row] = await listed();
    assert.deepEqual([row?.state, row?.outcome], ['failed', 'retrying']);
    const [job] = await stage.ops.database.query<{ run_at: Date }>('select run_at from job_queue where id = $1', [id]);
    assert.equal(row?.next_attempt_at, job?.run_at.toISOString());

    const mail = await operator.get(`${LIST}/${row?.key}`);
    const told = textOf(mail.body);
    assert.match(told, /to be retried/);
    assert.match(told, /Its job will send it again by itself, next in \d+ s\./);
    assert.match(told, /Answer 450 4\.2\.1 <late@example\.com> mailbox busy, try again later/);
    assert.doesNotMatch(mail.body, /data-state="bad"/);
    assert.ok(mail.body.includes(`href="${jobPath(id)}"`), 'it links to its job');
  });

  it('are shown as failed once their job is dead or deleted', async () => {
    const dead = await refusedForGood();
    assert.match(await operator.read(LIST), /^Deliveries 0 sent today, 1 failed\. /);
    const [row] = await listed();
    assert.deepEqual([row?.outcome, row?.next_attempt_at], ['failed', null]);
    const text = await operator.read(`${LIST}/${row?.key}`);
    assert.match(text, /Its job is dead: an operator can retry it there\./);
    assert.match(text, /Answer 550 5\.1\.1 <nobody@example\.com> no such user/);
    await operator.act('/ops/jobs/dead/action', {
      action: 'delete',
      id: `mailer/${dead}`,
      confirmed: '1',
      expected: '1',
    });
    assert.match(await operator.read(`${LIST}/${row?.key}`), /Its job is gone: it will not be sent again\./);
    assert.equal((await listed())[0]?.outcome, 'failed');
  });

  it('are still shown as to be retried when their job waits on its queue', async () => {
    const id = await refusedForNow();
    await operator.act('/ops/jobs/queues/mailer/pause');
    await operator.act('/ops/jobs/retry/action', { action: 'retry', id: `mailer/${id}` });
    const [row] = await listed();
    assert.equal(row?.outcome, 'retrying');
    assert.match(await operator.read(`${LIST}/${row?.key}`), /Its job waits on its queue to send it again\./);
  });

  it('are listed on the page of their job, with their outcome', async () => {
    const id = await refusedForNow();
    const { body } = await operator.get(jobPath(id));
    assert.match(
      textOf(body),
      /Mails To Subject Outcome late@example\.com Welcome to Catamount 450 4\.2\.1 .* to be retried/,
    );
    const [row] = await listed();
    assert.ok(body.includes(`href="${LIST}/${row?.key}"`), 'it links to its mail');
    const hidden = await viewer.get(jobPath(id));
    assert.match(textOf(hidden.body), /Mails To Subject Outcome hidden UserMailer#welcome to be retried/);
    assert.doesNotMatch(hidden.body, /late@|mailbox busy/);
  });

  it('are shown to a viewer without addresses', async () => {
    await refusedForNow();
    const { body } = await viewer.get(LIST);
    assert.match(textOf(body), /450 4\.2\.1 <…> mailbox busy, try again later .* to be retried next in \d+ s/);
    assert.doesNotMatch(body, /late@/);
  });

  it('do not count as a failure of mail on the overview', async () => {
    await refusedForNow();
    const text = await until('the overview has counted them', async () => {
      const read = await operator.read('/ops');
      return /1 to be retried/.test(read) && read;
    });
    assert.match(text, /Mail into files · 1 today · 1 to be retried · last (now|\d+ s ago)/);
    assert.doesNotMatch(text, /fails|Mail fails/);
  });

  it('are counted apart from mails that have failed for good', async () => {
    await refusedForNow();
    await refusedForGood();
    assert.match(await operator.read(LIST), /^Deliveries 1 sent today, 1 failed, 1 to be retried\. /);
    assert.match(await operator.read(`${LIST}?locale=ko`), /오늘 1통 보냄, 1통 실패, 1통 재시도 예정/);
  });

  it('are shown as to be retried while Redis is unavailable, too', async () => {
    await refusedForNow();
    await stage.stopProcessors();
    await stage.ops.redis.stop();
    const [row] = await listed();
    assert.equal(row?.outcome, 'retrying');
    assert.match(await operator.read(`${LIST}/${row?.key}`), /Its job will send it again by itself, next in \d+ s\./);
  });
});
