import path from 'node:path';
import type { Knex } from 'knex';
import { type EventMap, type EventName, Events } from '../../lib/core/events';
import { type LoadedI18n, loadI18n } from '../../lib/core/i18n';
import { MailDelivery, type MailDeliveryOptions } from '../../lib/mailer/delivery/delivery';
import { DeliveryRecord } from '../../lib/mailer/delivery/delivery-record';
import { Mailer } from '../../lib/mailer/mailer';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { writeFiles } from '../support/app-folder';
import { createDatabase, type TestDatabase } from '../support/postgres';
import type { SmtpSink } from '../support/smtp';
import { inSuite } from '../support/suite';
import { tempFolder } from '../support/temp-folder';

/** Longer than any stop takes: whatever a test cuts off is cut off on purpose. */
export const LONG_MS = 600_000;
export const APP_TEMPLATES = path.resolve(__dirname, '../../lib/app/mailers/templates');
export const APP_LOCALES = path.resolve(__dirname, '../../lib/app/locales');

/** Writes files into a new folder, by their relative path. @returns the folder. */
export function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = tempFolder('mail');
  writeFiles(folder, files);
  return folder;
}

/** Texts, given as the contents of locale files. */
export function textsOf(locales: Readonly<Record<string, unknown>>): Promise<LoadedI18n> {
  const files = Object.entries(locales).map(([locale, texts]) => [`${locale}.json`, JSON.stringify(texts)]);
  return loadI18n([folderOf(Object.fromEntries(files))], 'en');
}

type Options = Partial<Omit<MailDeliveryOptions, 'config' | 'events'>>;

/** A delivery as in a job processor. Default: it sends the mails of the sample app to nobody. */
export async function mailDelivery(
  knex: Knex,
  events: Events,
  mail: Partial<MailDeliveryOptions['config']['mail']>,
  options: Options = {},
): Promise<MailDelivery> {
  return new MailDelivery({
    config: {
      mail: { delivery: 'test', smtpUrl: null, from: 'Shop <hello@shop.example>', dir: '/nowhere', ...mail },
      appUrl: 'https://shop.example',
      defaultLocale: 'en',
      environment: 'production',
    },
    record: new DeliveryRecord(knex),
    i18n: await loadI18n([APP_LOCALES], 'en'),
    templatesDir: APP_TEMPLATES,
    events,
    ...options,
  });
}

/** A delivery with its own database, connected to the mailers, which records its events. */
export class MailSystem {
  readonly heard: { readonly name: EventName; readonly payload: EventMap[EventName] }[] = [];

  private constructor(
    readonly testDatabase: TestDatabase,
    readonly database: Database,
    readonly events: Events,
    readonly delivery: MailDelivery,
    private readonly deliveryOn: (database: Database) => Promise<MailDelivery>,
  ) {
    events.onAny((name, payload) => this.heard.push({ name, payload }));
  }

  /**
   * @param options.migrated true: with all tables; default: only those of mail.
   * @param options.leaseMs as in the options of DeliveryRecord.
   */
  static async open(
    mail: Parameters<typeof mailDelivery>[2],
    { migrated, leaseMs, ...options }: Options & { readonly migrated?: true; readonly leaseMs?: number } = {},
  ): Promise<MailSystem> {
    const testDatabase = await createDatabase({ migrated: migrated ?? ['lib/mailer/migrations'] });
    const events = new Events();
    const deliveryOn = ({ knex }: Database) =>
      mailDelivery(knex, events, mail, {
        record: new DeliveryRecord(knex, leaseMs === undefined ? {} : { leaseMs }),
        ...options,
      });
    const database = new Database(testDatabase.url, { production: false, events });
    const system = new MailSystem(testDatabase, database, events, await deliveryOn(database), deliveryOn);
    await system.delivery.start();
    Mailer.connect(system.delivery);
    return system;
  }

  /** A second delivery on the same database, like that of another processor. It is not connected to the mailers. */
  async another(): Promise<{ readonly delivery: MailDelivery; readonly close: () => Promise<void> }> {
    const database = new Database(this.testDatabase.url, { production: false, events: this.events });
    const delivery = await this.deliveryOn(database);
    const close = async () => {
      await delivery.stop(Deadline.after(LONG_MS));
      await database.stop(Deadline.after(LONG_MS));
    };
    return { delivery, close };
  }

  all<E extends EventName>(name: E): EventMap[E][] {
    return this.heard.filter((one) => one.name === name).map((one) => one.payload as EventMap[E]);
  }

  records(): Promise<Record<string, unknown>[]> {
    return this.testDatabase.query('select * from mail_deliveries order by created_at, key');
  }

  async close(): Promise<void> {
    Mailer.connect(undefined);
    await this.delivery.stop(Deadline.after(LONG_MS));
    await this.database.stop(Deadline.after(LONG_MS));
    await this.testDatabase.drop();
  }
}

/** A delivery by SMTP for the jobs of a suite, connected to the mailers until the suite ends. */
export function useSmtpDelivery(
  placeOf: () => [knex: Knex, events: Events],
  sink: SmtpSink,
  optionsOf: () => Options | Promise<Options> = () => ({}),
): MailDelivery {
  const end = (delivery: MailDelivery) => {
    Mailer.connect(undefined);
    return delivery.stop(Deadline.after(LONG_MS));
  };
  return inSuite(end, async () => {
    const mail = { delivery: 'smtp', smtpUrl: sink.url } as const;
    const delivery = await mailDelivery(...placeOf(), mail, await optionsOf());
    Mailer.connect(delivery);
    return delivery;
  });
}
