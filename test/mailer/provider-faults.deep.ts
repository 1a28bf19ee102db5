import assert from 'node:assert/strict';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import type { MailProvider } from '../../lib/core/config';
import { Job } from '../../lib/job/job';
import { Mailer } from '../../lib/mailer/mailer';
import { openServer } from '../../lib/mailer/transport/open-transport';
import { Deadline } from '../../lib/support/deadline';
import { JobSystem } from '../job/job-system';
import { setSources, setsOf } from '../job/sets/set-sources';
import { type ApiFault, MailApiServer, PROVIDER_KEYS } from '../support/mail-apis';
import { inSuite, inTest } from '../support/suite';
import { until } from '../support/until';
import { LONG_MS, mailDelivery } from './mail-system';

/** Mails are sent by jobs, as in the app, but retries are almost immediate. */
class WelcomeJob extends Job<[email: string]> {
  static override readonly retryIn = () => '20ms' as const;
  async perform(email: string) {
    await UserMailer.welcome({ email, name: 'Ada', locale: 'en' }).deliverNow();
  }
}

/** Providers that can tell a mail whose answer was lost from a new one. */
const CAN_TELL: readonly MailProvider[] = ['resend'];
/** Providers that keep our Message-ID, by which the receiving side can recognise a duplicate. */
const KEEPS_ID: readonly MailProvider[] = ['postmark', 'mailgun'];

describe('mails from jobs by a provider', () => {
  const system = inSuite('stop', () => JobSystem.start({}, { migrated: true }));
  let count = 0;

  for (const provider of Object.keys(PROVIDER_KEYS) as readonly MailProvider[]) {
    describe(provider, () => {
      const server = inTest('stop', () => MailApiServer.start(provider));
      const end = (delivery: Awaited<ReturnType<typeof mailDelivery>>) => {
        Mailer.connect(undefined);
        return delivery.stop(Deadline.after(LONG_MS));
      };
      inTest(end, async () => {
        await system.reset();
        await system.processor([WelcomeJob]);
        const mail = { delivery: provider, keys: PROVIDER_KEYS[provider], apiUrl: server.url };
        // A short limit, so that a test need not wait for the usual one.
        const transport = openServer({ ...mail, smtpUrl: null }, 3000);
        const delivery = await mailDelivery(system.database.knex, system.events, mail, { transport });
        Mailer.connect(delivery);
        return delivery;
      });

      /** Sends a mail under the given faults, and waits until its job has ended. @returns how it has ended. */
      async function send(...faults: readonly ApiFault[]): Promise<{ email: string; outcome: 'sent' | 'dead' }> {
        server.faults.push(...faults);
        return sendTo(`user${++count}@example.com`);
      }
      async function sendTo(email: string) {
        const { id } = await WelcomeJob.performLater(email);
        const ended = (name: 'job.succeeded' | 'job.dead') => system.eventsNamed(name).some((job) => job.id === id);
        const outcome = await until('the job has ended', () =>
          ended('job.succeeded') ? 'sent' : ended('job.dead') ? 'dead' : false,
        );
        assert.deepEqual(server.faults, []);
        return { email, outcome } as const;
      }
      const record = async (email: string) => {
        const query = 'select state, response, attempts from mail_deliveries where $1 = any(recipients)';
        return (await system.postgres.query<{ state: string; response: string }>(query, [email]))[0];
      };

      it('sends each once: after 5xx, a broken connection, 429, and a key that was wrong for a while', async () => {
        const wrongKey = provider === 'ses' || provider === 'resend' ? 403 : 401;
        const { email, outcome } = await send(
          { status: 500 },
          { status: 503, body: '<html>' },
          'drop',
          { status: wrongKey, body: { message: 'who are you?' } },
          { status: 429, headers: { 'retry-after': '1' } },
          { status: 429, headers: { 'retry-after': '3' } },
        );
        assert.equal(outcome, 'sent');
        assert.deepEqual(
          server.accepted.map(({ to }) => to),
          [[email]],
        );
        const told = await record(email);
        assert.equal(told?.state, 'sent');
        assert.match(told?.response ?? '', /^200 /);
        // Only the failures have used up attempts. The longer wait was not one.
        assert.equal(system.eventsNamed('job.retrying').length, 4);
        assert.equal(system.eventsNamed('job.rate-limited').length, 1);
        assert.ok(!system.eventsNamed('mail.failed').some(({ error }) => error.name === 'RateLimited'));
      });

      for (const fault of ['lose the answer', 'hang'] as const) {
        const times = CAN_TELL.includes(provider) ? 'once' : 'twice, since it knows no key';
        it(`loses no mail whose answer was lost (${fault}): it is sent ${times}`, async () => {
          const { email, outcome } = await send(fault);
          assert.equal(outcome, 'sent');
          const expected = CAN_TELL.includes(provider) ? [[email]] : [[email], [email]];
          assert.deepEqual(
            server.accepted.map(({ to }) => to),
            expected,
          );
          const ids = new Set(server.accepted.map(({ messageId }) => messageId));
          assert.equal(ids.size, 1);
          assert.equal(ids.has(undefined), !KEEPS_ID.includes(provider));
          assert.equal((await record(email))?.state, 'sent');
        });
      }

      it('kills the job of a mail to an address that is refused, with the answer, and sends the next', async () => {
        const { email, outcome } = await sendTo(`rejected${++count}@example.com`);
        assert.equal(outcome, 'dead');
        const { dead } = setsOf(setSources(system));
        const [{ reason } = assert.fail('no dead job is listed')] = (await dead.page({ limit: 10 })).entries;
        assert.match(reason ?? '', /^the mail server refused the mail for good: 4\d\d .*/);
        const told = await record(email);
        assert.equal(told?.state, 'failed');
        assert.match(told?.response ?? '', /^4\d\d /);
        assert.equal((await send()).outcome, 'sent');
        assert.equal(server.accepted.length, 1);
      });
    });
  }
});
