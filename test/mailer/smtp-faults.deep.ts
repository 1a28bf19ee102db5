import assert from 'node:assert/strict';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { Job } from '../../lib/job/job';
import type { DeliveryMethod } from '../../lib/mailer/definition/delivery-method';
import type { MailDelivery } from '../../lib/mailer/delivery/delivery';
import { Mailer } from '../../lib/mailer/mailer';
import { SmtpTransport } from '../../lib/mailer/transport/smtp';
import { Deadline } from '../../lib/support/deadline';
import { JobSystem } from '../job/job-system';
import { type Sets, setSources, setsOf } from '../job/sets/set-sources';
import { dice } from '../support/dice';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { type SmtpFault, SmtpProxy, type SmtpStep } from '../support/smtp-proxy';
import { until } from '../support/until';
import { LONG_MS, mailDelivery } from './mail-system';

/** Mails are sent by jobs, as in the app, but retries are almost immediate. */
class WelcomeJob extends Job<[email: string]> {
  static override readonly retryIn = () => '20ms' as const;
  async perform(email: string) {
    await UserMailer.welcome({ email, name: 'Ada', locale: 'en' }).deliverNow();
  }
}

const STEPS = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'message'] as const;
/** A refusal at these steps is about the mail; before them it is about the server or our login. */
const ABOUT_THE_MAIL: readonly SmtpStep[] = ['MAIL', 'RCPT', 'DATA', 'message'];
const ANSWERS = ['421 4.3.2 closing', '450 4.2.1 busy', '550 5.7.1 unwanted'] as const;

describe('mails from jobs, when the SMTP server', () => {
  let system: JobSystem;
  let sink: SmtpSink;
  let proxy: SmtpProxy;
  let open: (options?: { readonly transport: DeliveryMethod }) => Promise<MailDelivery>;
  let delivery: MailDelivery;
  let dead: Sets['dead'];
  let count = 0;

  before(async () => {
    sink = await startSmtpSink();
    proxy = await SmtpProxy.start(sink.url);
    system = await JobSystem.start({}, { migrated: true });
    ({ dead } = setsOf(setSources(system)));
    open = (options) =>
      mailDelivery(system.database.knex, system.events, { delivery: 'smtp', smtpUrl: proxy.url }, options);
    delivery = await open();
    await delivery.start();
    Mailer.connect(delivery);
  });
  beforeEach(async () => {
    await system.reset();
    await system.processor([WelcomeJob]);
    sink.messages.length = 0;
    proxy.plan.length = 0;
    // A kept connection has had its greeting already.
    proxy.network.cut();
  });
  after(async () => {
    Mailer.connect(undefined);
    await delivery.stop(Deadline.after(LONG_MS));
    await system.stop();
    await proxy.network.down();
    await sink.stop();
  });

  const over = () =>
    new Set([...system.eventsNamed('job.succeeded'), ...system.eventsNamed('job.dead')].map(({ id }) => id));

  /** Enqueues as many jobs and waits until all have ended. @returns their addresses. */
  async function send(many = 1): Promise<string[]> {
    const emails = Array.from({ length: many }, () => `user${++count}@example.com`);
    const jobs = await Promise.all(emails.map((email) => WelcomeJob.performLater(email)));
    await until('every job has ended', () => jobs.every(({ id }) => over().has(id)));
    return emails;
  }

  const received = () => sink.messages.map(({ envelope }) => envelope.to.join()).sort();

  async function assertOnceEach(emails: readonly string[]): Promise<void> {
    assert.deepEqual(received(), [...emails].sort());
    assert.equal(await dead.count(), 0);
    const query = `select state, response from mail_deliveries where recipients && $1::text[]`;
    const records = await system.postgres.query<{ state: string; response: string }>(query, [emails]);
    assert.deepEqual(new Set(records.map(({ state }) => state)), new Set(['sent']));
    assert.ok(records.length === emails.length && records.every(({ response }) => response.startsWith('250 ')));
  }

  /** Sends one mail under the given faults, all of which must occur. */
  async function sendWith(...faults: readonly [SmtpStep, SmtpFault][]): Promise<string[]> {
    proxy.plan.push(...faults.map(([step, fault]) => ({ step, fault })));
    const emails = await send();
    assert.deepEqual(proxy.plan, []);
    return emails;
  }

  for (const answer of ANSWERS) {
    for (const step of STEPS) {
      const isForGood = answer.startsWith('5') && ABOUT_THE_MAIL.includes(step);
      it(`says ${answer} at ${step}: ${isForGood ? 'the job is dead, with the reply as its reason' : 'the mail arrives once, later'}`, async () => {
        const emails = await sendWith([step, { answer }]);
        if (!isForGood) return assertOnceEach(emails);
        assert.deepEqual(received(), []);
        const entries = await until('it is dead', async () => {
          const page = await dead.page({ limit: 10 });
          return page.total === 1 && page.entries;
        });
        const [{ reason, errors, attempts } = assert.fail('no dead job is listed')] = entries;
        assert.equal(reason, `the mail server refused the mail for good: ${answer}`);
        assert.match(errors[0]?.message ?? '', /^PermanentDeliveryError: .*550 5\.7\.1 unwanted$/m);
        assert.equal(attempts, 1);
      });
    }
  }

  for (const step of STEPS) {
    it(`disconnects ${step === 'message' ? 'in the middle of the message' : `at ${step}`}: the mail arrives once, later`, async () => {
      await assertOnceEach(await sendWith([step, 'drop']));
    });
  }

  it('replies slowly at every step: the mail arrives once, without a retry', async () => {
    await assertOnceEach(
      await sendWith(...STEPS.map((step) => [step, { delayMs: 100 }] satisfies [SmtpStep, SmtpFault])),
    );
    assert.deepEqual(system.eventsNamed('job.retrying'), []);
  });

  it('takes twelve seconds to accept a message: the mail arrives once, without a retry', async () => {
    await assertOnceEach(await sendWith(['message', { delayMs: 12_000 }]));
    assert.deepEqual(system.eventsNamed('job.retrying'), []);
  });

  for (const step of ['greeting', 'RCPT', 'message'] as const) {
    it(`is silent at ${step} until the client times out: the mail arrives once, later`, async () => {
      // Only the first attempt has such a short timeout, so that no other one fails on a busy machine.
      const patient = new SmtpTransport(proxy.url);
      const impatient = new SmtpTransport(proxy.url, { socketMs: 1000 });
      let tries = 0;
      const transport: DeliveryMethod = {
        name: 'smtp',
        send: (message) => (++tries === 1 ? impatient : patient).send(message),
        close: async (given) => {
          await Promise.all([impatient.close(given), patient.close(given)]);
        },
      };
      const other = await open({ transport });
      Mailer.connect(other);
      try {
        await assertOnceEach(await sendWith([step, { delayMs: 60_000 }]));
      } finally {
        Mailer.connect(delivery);
        await other.stop(Deadline.after(LONG_MS));
      }
      assert.match(system.eventsNamed('job.retrying')[0]?.error.message ?? '', /[Tt]imeout/);
    });
  }

  it('accepts the mail, but its reply is lost: the mail is sent again, with the same Message-ID, as SMTP leaves no other way', async () => {
    const [email] = await sendWith(['message', 'lose the answer']);
    assert.deepEqual(received(), [email, email]);
    assert.equal(new Set(sink.messages.map(({ messageId }) => messageId)).size, 1);
  });

  it('is down: nothing is lost, and each mail arrives once, when it is up again', async () => {
    await proxy.network.down();
    const sending = send(5);
    await until('each has failed twice', () => system.eventsNamed('job.retrying').length >= 10);
    assert.match(system.eventsNamed('job.retrying')[0]?.error.message ?? '', /ECONNREFUSED/);
    await proxy.network.up();
    await assertOnceEach(await sending);
  });

  it('fails at random: each mail arrives once', async () => {
    const throwDice = dice(20261126);
    const faults: readonly SmtpFault[] = ['drop', { answer: ANSWERS[0] }, { answer: ANSWERS[1] }, { delayMs: 50 }];
    const pick = <T>(all: readonly T[]): T => all[throwDice(all.length)] ?? assert.fail();
    proxy.plan.push(...Array.from({ length: 60 }, () => ({ step: pick(STEPS), fault: pick(faults) })));
    const emails = await send(30);
    assert.ok(system.eventsNamed('job.retrying').length > 10, String(system.eventsNamed('job.retrying').length));
    await assertOnceEach(emails);
  });
});
