import { Events } from '../core/events';
import { loadI18n } from '../core/i18n';
import type { Locale } from '../core/locale';
import { MailDelivery } from '../mailer/delivery';
import { Mailer } from '../mailer/mailer';
import { loadMailers } from '../mailer/mailer-folder';
import { TestTransport } from '../mailer/transport/test';
import type { OutgoingMessage } from '../mailer/transport/transport';
import type { AppDefinition } from '../role/app-definition';
import { loadMailSetup } from '../role/load-mail-setup';
import { Deadline } from '../support/deadline';
import { MemoryDeliveryRecords } from './memory-delivery-records';

/** How long mails that are on their way may take, ms. */
const CLOSE_MS = 5000;

export interface TestMailOptions {
  /** The app's manifest: its mailers, templates, texts and mail setup are used. */
  readonly app: AppDefinition;
  /** As MAIL_FROM. Default `Test <test@example.com>`. */
  readonly from?: string;
  /** As APP_URL. Default `http://localhost:3000`. */
  readonly appUrl?: string;
  /** As DEFAULT_LOCALE. Default en. */
  readonly defaultLocale?: Locale;
}

/** Mails are built, checked and rendered as in production, and kept here. */
export class TestMail {
  private constructor(
    private readonly transport: TestTransport,
    private readonly delivery: MailDelivery,
  ) {}

  static async open(options: TestMailOptions): Promise<TestMail> {
    const { app, from = 'Test <test@example.com>', appUrl = 'http://localhost:3000', defaultLocale = 'en' } = options;
    const transport = new TestTransport();
    const delivery = new MailDelivery({
      config: { mail: { delivery: 'test', smtpUrl: null, from, dir: '' }, appUrl, defaultLocale, environment: 'test' },
      record: new MemoryDeliveryRecords(),
      i18n: await loadI18n([app.localesDir], defaultLocale, { strict: true }),
      templatesDir: app.templatesDir,
      events: new Events(),
      setup: await loadMailSetup(app),
      transport,
    });
    Mailer.connect(delivery, loadMailers(app.mailersDir));
    return new TestMail(transport, delivery);
  }

  /** Oldest first. */
  get messages(): readonly OutgoingMessage[] {
    return this.transport.messages;
  }

  /** Forgets all mails. */
  clear(): void {
    this.transport.messages.length = 0;
  }

  /** Idempotent. */
  async restore(): Promise<void> {
    Mailer.connect(undefined);
    await this.delivery.stop(Deadline.after(CLOSE_MS));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.restore();
  }
}
