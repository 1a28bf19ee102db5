import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Job } from '../../lib/job/job';
import type { DeliveryMethod } from '../../lib/mailer/definition/delivery-method';
import type { DeliveryOptions } from '../../lib/mailer/definition/mail-types';
import type { MailSetup } from '../../lib/mailer/definition/setup';
import { replaceSettings } from '../../lib/mailer/delivery/transports';
import { Mailer } from '../../lib/mailer/mailer';
import { TestTransport } from '../../lib/mailer/transport/local-transports';
import { Deadline } from '../../lib/support/deadline';
import { JobSystem } from '../job/job-system';
import { MailApiServer, PROVIDER_KEYS } from '../support/mail-apis';
import { startSmtpSink } from '../support/smtp';
import { inSuite, inTest } from '../support/suite';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { LONG_MS, mailDelivery } from './mail-system';

/** How the mails of each company go out, as an app would look it up. */
const ways = new Map<string, DeliveryOptions>();

class BillMailer extends Mailer {
  static readonly bill = this.action('bill');
  bill(company: string) {
    return this.mail({ to: 'ada@example.com', subject: company, text: 'Pay.', delivery: ways.get(company) });
  }
}

/** All its mails go by `pigeon`, with options of the mail at hand. */
class FlownMailer extends Mailer<{ readonly speed: number }> {
  static override readonly defaults = {
    delivery: ({ params }: { readonly params: Readonly<Record<string, unknown>> }) => ({
      method: 'pigeon',
      options: { speed: params.speed },
    }),
  };
  static readonly note = this.action('note');
  note(delivery?: DeliveryOptions) {
    return this.mail({ to: 'ada@example.com', subject: 'Note', text: 'Hi.', delivery });
  }
}

class BillJob extends Job<[company: string]> {
  static override readonly retry = { limit: 1000 };
  static override readonly retryIn = () => '50ms' as const;
  async perform(company: string) {
    await BillMailer.bill(company).deliverNow();
  }
}

/** An app's own way to send, which notes what it was opened with. */
class Pigeon extends TestTransport implements DeliveryMethod {
  override readonly name = 'test';
  isClosed = false;
  constructor(readonly options: Readonly<Record<string, unknown>>) {
    super();
  }
  async close() {
    this.isClosed = true;
  }
}

describe('a mail that says how it goes out', () => {
  const system = inSuite('stop', () => JobSystem.start({}, { migrated: true }));
  const ours = inSuite('stop', startSmtpSink);
  const theirs = inSuite('stop', startSmtpSink);
  const postmark = inTest('stop', () => MailApiServer.start('postmark'));
  const pigeons: Pigeon[] = [];
  const setup: MailSetup = {
    deliveryMethods: {
      pigeon: (options) => {
        const pigeon = new Pigeon(options);
        pigeons.push(pigeon);
        return pigeon;
      },
    },
  };
  const open = async (mail: Parameters<typeof mailDelivery>[2] = { delivery: 'smtp', smtpUrl: ours.url }) => {
    const delivery = await mailDelivery(system.database.knex, system.events, mail, { setup });
    Mailer.connect(delivery);
    return delivery;
  };
  const end = (delivery: Awaited<ReturnType<typeof open>>) => {
    Mailer.connect(undefined);
    return delivery.stop(Deadline.after(LONG_MS));
  };
  const delivery = inTest(end, () => open());
  beforeEach(() => {
    ways.clear();
    for (const list of [ours.messages, theirs.messages, pigeons]) list.length = 0;
  });
  afterEach(async () => {
    await system.reset();
    await system.postgres.query('delete from mail_deliveries');
  });
  const subjects = (sink: { readonly messages: readonly { readonly subject?: string | undefined }[] }) =>
    sink.messages.map(({ subject }) => subject);

  it('goes by the server of its options, and all others by the usual one', async () => {
    ways.set('theirs', { options: { SMTP_URL: theirs.url } }).set('none', { options: { SMTP_URL: null } });
    for (const company of ['theirs', 'usual', 'none', 'theirs']) await BillMailer.bill(company).deliverNow();
    assert.deepEqual(
      [subjects(theirs), subjects(ours)],
      [
        ['theirs', 'theirs'],
        ['usual', 'none'],
      ],
    );
  });

  it('is tried again with the options of then, and nothing of a key is stored or reported', async () => {
    const key = (token: string): DeliveryOptions => ({
      method: 'postmark',
      options: { POSTMARK_API_TOKEN: token, POSTMARK_MESSAGE_STREAM: 'bills', MAIL_API_URL: postmark.url },
    });
    ways.set('tenant', key('HUSH-old'));
    await system.processor([BillJob]);
    await BillJob.performLater('tenant');
    await until('it has failed', () => system.eventsNamed('job.retrying').length > 0);
    const rows = await system.postgres.query<{ text: string }>(
      'select to_json(d)::text as text from mail_deliveries d union all select to_json(j)::text from job_queue j',
    );
    assert.equal(rows.length, 2);
    assert.match(JSON.stringify(rows), /look at POSTMARK_API_TOKEN/);
    ways.set('tenant', key(PROVIDER_KEYS.postmark.POSTMARK_API_TOKEN));
    await until('it is done', () => system.eventsNamed('job.succeeded').length === 1);
    assert.equal(postmark.accepted.length, 1);
    assert.match(String(postmark.asked.at(-1)?.raw), /"MessageStream":"bills"/);
    assert.doesNotMatch(JSON.stringify([rows, system.heard]), /HUSH/);
  });

  it('goes by a method of the app, which is opened once for the same options, and by the method of its mailer', async () => {
    for (const speed of [1, 2, 1]) await FlownMailer.with({ speed }).note().deliverNow();
    await FlownMailer.with({ speed: 3 }).note({ method: 'pigeon' }).deliverNow();
    assert.deepEqual(
      pigeons.map(({ options, messages }) => [options, messages.length]),
      [
        [{ speed: 1 }, 2],
        [{ speed: 2 }, 1],
        [{}, 1],
      ],
    );
    await delivery.stop(Deadline.after(LONG_MS));
    assert.ok(pigeons.every(({ isClosed }) => isClosed));
  });

  it('keeps at most fifty methods open, those used last', async () => {
    await FlownMailer.with({ speed: 0 }).note().deliverNow();
    for (let speed = 1; speed <= 50; speed++) {
      await FlownMailer.with({ speed }).note().deliverNow();
      await FlownMailer.with({ speed: 0 }).note().deliverNow();
    }
    assert.deepEqual(
      pigeons.filter(({ isClosed }) => isClosed).map(({ options }) => options),
      [{ speed: 1 }],
    );
  });

  it('brings neither the address of another provider along nor the session of another key', async () => {
    const [mailgun, ses] = [await MailApiServer.start('mailgun'), await MailApiServer.start('ses')];
    await end(delivery);
    const { POSTMARK_API_TOKEN } = PROVIDER_KEYS.postmark;
    const keys = { ...PROVIDER_KEYS.mailgun, ...PROVIDER_KEYS.ses };
    const opened = await open({ delivery: 'mailgun', keys, apiUrl: mailgun.url });
    try {
      ways.set('same', { options: { MAILGUN_API_KEY: PROVIDER_KEYS.mailgun.MAILGUN_API_KEY } });
      ways.set('postmark', { method: 'postmark', options: { POSTMARK_API_TOKEN, MAIL_API_URL: postmark.url } });
      for (const company of ['same', 'postmark']) await BillMailer.bill(company).deliverNow();
      assert.deepEqual([mailgun.asked.length, postmark.accepted.length], [1, 1]);
      const own = { AWS_ACCESS_KEY_ID: 'AKIDOTHER', AWS_SECRET_ACCESS_KEY: 'other', MAIL_API_URL: ses.url };
      ways.set('ses', { method: 'ses', options: own });
      await assert.rejects(BillMailer.bill('ses').deliverNow(), /does not accept mails/);
      assert.deepEqual([ses.asked.length, ses.asked[0]?.headers['x-amz-security-token']], [1, undefined]);
    } finally {
      await end(opened);
      await Promise.all([mailgun.stop(), ses.stop()]);
    }
    const tree = { delivery: 'mailgun', smtpUrl: null, from: 'a@b.example', dir: '', apiUrl: postmark.url };
    assert.equal(replaceSettings(tree, 'postmark', { POSTMARK_API_TOKEN }).apiUrl, null);
  });

  it('is dead before it is claimed, and shows no value, if there is no such method or option', async () => {
    await system.processor([BillJob]);
    const mistakes: readonly (readonly [DeliveryOptions, RegExp])[] = [
      [{ method: 'postmrk' }, /delivery: method is postmrk, but .*did you mean postmark/],
      [{ options: { SMTP_ULR: 'HUSH' } }, /delivery: smtp has no option SMTP_ULR; its options are SMTP_URL/],
      [{ method: 'resend', options: { constructor: 'HUSH' } }, /no option constructor; .*RESEND_API_KEY, MAIL_API_URL/],
      [{ options: { SMTP_URL: 'https://HUSH' } }, /the option SMTP_URL must be an smtp:/],
      [{ method: 'ses', options: { AWS_REGION: 7 } }, /the option AWS_REGION must be a region/],
      ['postmark' as DeliveryOptions, /delivery: give an object/],
      [{ method: 7 } as unknown as DeliveryOptions, /delivery: give an object/],
    ];
    for (const [way, message] of mistakes) {
      ways.set('wrong', way);
      const before = system.eventsNamed('job.dead').length;
      await BillJob.performLater('wrong');
      await until('it is dead', () => system.eventsNamed('job.dead').length > before);
      const { error } = system.eventsNamed('job.dead').at(-1) ?? assert.fail();
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /HUSH/);
    }
    assert.deepEqual(await system.postgres.query('select from mail_deliveries'), []);
  });

  it('stays on this machine where all mails do, and is checked there all the same', async () => {
    await end(delivery);
    const dir = tempFolder('mails');
    const opened = await open({ delivery: 'file', dir });
    try {
      ways.set('a', { method: 'smtp', options: { SMTP_URL: theirs.url } }).set('b', { method: 'nowhere' });
      await BillMailer.bill('a').deliverNow();
      await assert.rejects(BillMailer.bill('b').deliverNow(), /no such delivery method/);
      assert.deepEqual([fs.readdirSync(dir).length, theirs.messages.length], [1, 0]);
    } finally {
      await end(opened);
    }
  });
});
