import type { Locale } from '../core/config';
import { Events } from '../core/events';
import { loadI18n } from '../core/i18n';
import type { OutgoingMessage } from '../mailer/definition/mail-types';
import { MailDelivery } from '../mailer/delivery/delivery';
import { Mailer } from '../mailer/mailer';
import { loadMailers } from '../mailer/mailer-registry';
import { TestTransport } from '../mailer/transport/local-transports';
import type { AppDefinition } from '../role/app/app-definition';
import { loadMailSetup } from '../role/app/load-parts';
import { Deadline } from '../support/deadline';
import { MemoryDeliveryRecords } from './memory-delivery-records';

/** Timeout for mails in flight when test mail is restored, ms. */
const CLOSE_MS = 5000;

/** Options of `useTestMail`: the app whose mails it builds, and the settings that these need. */
export interface TestMailOptions {
  /** The app's manifest, which names its mailers, templates, texts and mail setup. */
  readonly app: AppDefinition;
  /** Replaces MAIL_FROM. Default `Test <test@example.com>`. */
  readonly from?: string;
  /** Replaces APP_URL. Default `http://localhost:3000`. */
  readonly appUrl?: string;
  /** Replaces DEFAULT_LOCALE. Default en. */
  readonly defaultLocale?: Locale;
}

/** The handle that `useTestMail` returns. It collects mails, which are built, checked and rendered as in production. */
export class TestMails {
  /**
   * false once it is restored.
   * @internal
   */
  isConnected = true;

  private constructor(
    private readonly transport: TestTransport,
    private readonly delivery: MailDelivery,
  ) {}

  /** @internal */
  static async open(options: TestMailOptions): Promise<TestMails> {
    const { app, from = 'Test <test@example.com>', appUrl = 'http://localhost:3000', defaultLocale = 'en' } = options;
    const transport = new TestTransport();
    const delivery = new MailDelivery({
      config: { mail: { delivery: 'test', smtpUrl: null, from, dir: '' }, appUrl, defaultLocale, environment: 'test' },
      record: new MemoryDeliveryRecords(),
      i18n: await loadI18n([app.localesDir], defaultLocale, { strict: true }),
      templatesDir: app.templatesDirs,
      events: new Events(),
      setup: await loadMailSetup(app),
      transport,
    });
    Mailer.connect(delivery, await loadMailers(app.mailersDir, app));
    return new TestMails(transport, delivery);
  }

  /**
   * Oldest first.
   * @internal
   */
  get messages(): readonly OutgoingMessage[] {
    return this.transport.messages;
  }

  /** Forgets all mails. */
  clear(): void {
    this.transport.messages.length = 0;
  }

  /** Disconnects the mailers. Idempotent. */
  async restore(): Promise<void> {
    if (!this.isConnected) return;
    this.isConnected = false;
    Mailer.connect(undefined);
    await this.delivery.stop(Deadline.after(CLOSE_MS));
  }

  /** Calls `restore`, at the end of a scope with `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.restore();
  }
}
