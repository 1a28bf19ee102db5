import { UserMailer } from '../../../lib/app/mailers/user-mailer';
import { Events } from '../../../lib/core/events';
import { runInContext } from '../../../lib/core/execution-context';
import { loadI18n } from '../../../lib/core/i18n';
import { MailDelivery } from '../../../lib/mailer/delivery';
import { DeliveryRecord } from '../../../lib/mailer/delivery-record';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { MemoryDeliveryRecords } from '../../../lib/testing/memory-delivery-records';
import { APP_URL, FROM, LOCALES, type Person, TEMPLATES } from './people';
import type { MailSender, MailStores } from './sender';

const CLOSE_MS = 5000;

/** Our mailer, each mail as if from a job of its own. */
export class CatamountSender implements MailSender {
  private constructor(
    private readonly delivery: MailDelivery,
    private readonly database: Database,
    private readonly events: Events,
  ) {}

  /** @param recorded false: the delivery records are in memory, for those who compare rendering. */
  static async open({ smtpUrl, databaseUrl }: MailStores, recorded: boolean): Promise<CatamountSender> {
    const events = new Events();
    const database = new Database(databaseUrl, { production: false, events, poolMax: 2 });
    const delivery = new MailDelivery({
      config: {
        mail: { delivery: 'smtp', smtpUrl, from: FROM, dir: '' },
        appUrl: APP_URL,
        defaultLocale: 'en',
        environment: 'production',
      },
      record: recorded ? new DeliveryRecord(database.knex) : new MemoryDeliveryRecords(),
      i18n: await loadI18n([LOCALES], 'en'),
      templatesDir: TEMPLATES,
      events,
    });
    await delivery.start();
    return new CatamountSender(delivery, database, events);
  }

  async send(person: Person, n: number): Promise<void> {
    const id = `bench-${process.pid}-${n}`;
    await runInContext({ jobId: id, attempt: 1 }, () => this.delivery.deliver(UserMailer.welcome(person)));
    // As the processor tells when a job's run has ended: what is kept of it for its mails' keys is let go.
    this.events.emit('job.succeeded', { id, class: 'Bench', queue: 'mailer', requestId: undefined, durationMs: 0 });
  }

  async close(): Promise<void> {
    const deadline = Deadline.after(CLOSE_MS);
    await this.delivery.stop(deadline);
    await this.database.stop(deadline);
  }
}
