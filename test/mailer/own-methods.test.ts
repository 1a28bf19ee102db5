import assert from 'node:assert/strict';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { RateLimited } from '../../lib/job/definition/errors';
import { Job } from '../../lib/job/job';
import type { DeliveryMethod } from '../../lib/mailer/definition/delivery-method';
import { PermanentDeliveryError } from '../../lib/mailer/definition/errors';
import type { OutgoingMessage } from '../../lib/mailer/definition/mail-types';
import { Mailer } from '../../lib/mailer/mailer';
import { Deadline } from '../../lib/support/deadline';
import { JobSystem } from '../job/job-system';
import { inSuite, inTest } from '../support/suite';
import { until } from '../support/until';
import { LONG_MS, mailDelivery } from './mail-system';

class WelcomeJob extends Job<[email: string]> {
  static override readonly retryIn = () => '20ms' as const;
  async perform(email: string) {
    await UserMailer.welcome({ email, name: 'Ada', locale: 'en' }).deliverNow();
  }
}

/** An app's own way to send. */
class Pigeon implements DeliveryMethod {
  readonly name = 'pigeon';
  readonly sent: OutgoingMessage[] = [];
  readonly failures: Error[] = [];
  /** The Message-IDs of all tries. */
  readonly tried: string[] = [];
  closed = 0;

  async send(message: OutgoingMessage) {
    this.tried.push(message.messageId);
    const failure = this.failures.shift();
    if (failure) throw failure;
    this.sent.push(message);
    return { messageId: message.messageId, response: 'flown' };
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

describe("mails by an app's own method, which MAIL_DELIVERY names", () => {
  const system = inSuite('stop', () => JobSystem.start({}, { migrated: true }));
  let pigeon: Pigeon;
  let made = 0;
  const end = (delivery: Awaited<ReturnType<typeof mailDelivery>>) => {
    Mailer.connect(undefined);
    return delivery.stop(Deadline.after(LONG_MS));
  };
  const delivery = inTest(end, async () => {
    await system.reset();
    pigeon = new Pigeon();
    made = 0;
    const deliveryMethods = {
      pigeon: () => {
        made++;
        return pigeon;
      },
    };
    await system.processor([WelcomeJob]);
    const opened = await mailDelivery(
      system.database.knex,
      system.events,
      { delivery: 'pigeon' },
      { setup: { deliveryMethods } },
    );
    Mailer.connect(opened);
    return opened;
  });
  const enqueue = (email: string) => WelcomeJob.performLater(email);
  const hasEnded = (name: 'job.succeeded' | 'job.dead', count = 1) =>
    until(`${count} × ${name}`, () => system.eventsNamed(name).length === count);
  const record = async () => {
    const query = 'select state, response from mail_deliveries order by created_at desc limit 1';
    return (await system.postgres.query<{ state: string; response: string | null }>(query))[0];
  };

  it('go out by it, which is made once and closed in a stop', async () => {
    await enqueue('ada@example.com');
    await enqueue('bob@example.com');
    await hasEnded('job.succeeded', 2);
    assert.deepEqual(pigeon.sent.flatMap(({ to }) => to.map(({ address }) => address)).sort(), [
      'ada@example.com',
      'bob@example.com',
    ]);
    assert.deepEqual([made, (await record())?.state, (await record())?.response], [1, 'sent', 'flown']);
    await delivery.stop(Deadline.after(LONG_MS));
    assert.equal(pigeon.closed, 1);
  });

  it('are retried after an error with the same Message-ID, wait without a failed attempt when it says so, and then go out once', async () => {
    pigeon.failures.push(new Error('storm'), new RateLimited({ after: '50ms' }));
    await enqueue('ada@example.com');
    await hasEnded('job.succeeded');
    assert.equal(pigeon.sent.length, 1);
    assert.equal(system.eventsNamed('job.retrying').length, 1);
    assert.deepEqual([pigeon.tried.length, new Set(pigeon.tried).size], [3, 1]);
  });

  it('are dead when it refuses them for good', async () => {
    pigeon.failures.push(new PermanentDeliveryError('no such tower', 550));
    await enqueue('ada@example.com');
    await hasEnded('job.dead');
    assert.deepEqual([pigeon.sent.length, (await record())?.state], [0, 'failed']);
  });
});
