import fs from 'node:fs';
import path from 'node:path';
import ejs, { type TemplateFunction } from 'ejs';
import i18next from 'i18next';
import { createTransport } from 'nodemailer';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { Events } from '../../lib/core/events';
import { runInContext } from '../../lib/core/execution-context';
import { loadI18n } from '../../lib/core/i18n';
import { MailDelivery } from '../../lib/mailer/delivery/delivery';
import { DeliveryRecord } from '../../lib/mailer/delivery/delivery-record';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { type Person, peer, person, ROOT } from './harness/product';
import { runTask } from './harness/task-process';

/** Files of the sample app, from which all senders render the same mail. */
const TEMPLATES = path.join(ROOT, 'lib/app/mailers/templates');
const LOCALES = path.join(ROOT, 'lib/app/locales');
const APP_URL = 'https://shop.example';
const FROM = 'Shop <hello@shop.example>';
/** Mails sent at once, the default of a job processor. */
const AT_ONCE = 2;
const CLOSE_MS = 5000;

export interface MailTask {
  readonly sender: SenderName;
  readonly stores: MailStores;
  readonly count: number;
  /** Number of mails sent beforehand that are not measured. */
  readonly warmUp: number;
}

export interface MailResult {
  readonly mailsPerSecond: number;
  /** CPU time of the process, user and system, ms per mail. */
  readonly cpuMs: number;
  /** Fifty samples, evenly distributed over the mails. */
  readonly rssMb: readonly number[];
}

interface MailStores {
  readonly smtpUrl: string;
  readonly databaseUrl: string;
}

/** One way to send welcome mails. */
interface MailSender {
  /** @param n unique number of the mail. */
  send(person: Person, n: number): Promise<unknown>;
  close(): Promise<void>;
}

const SENDERS = {
  nodemailer: async ({ smtpUrl }: MailStores): Promise<MailSender> => new PlainSender(smtpUrl),
  catamount: (stores: MailStores): Promise<MailSender> => CatamountSender.open(stores),
  'ejs + juice': async ({ smtpUrl }: MailStores): Promise<MailSender> => new RenderingSender(smtpUrl),
} as const;

export type SenderName = keyof typeof SENDERS;

/** The product's mailer. It sends each mail in the context of a job of its own. */
class CatamountSender implements MailSender {
  private constructor(
    private readonly delivery: MailDelivery,
    private readonly database: Database,
    private readonly events: Events,
  ) {}

  static async open({ smtpUrl, databaseUrl }: MailStores): Promise<CatamountSender> {
    const events = new Events();
    const database = new Database(databaseUrl, { production: false, events, poolMax: 2 });
    const delivery = new MailDelivery({
      config: {
        mail: { delivery: 'smtp', smtpUrl, from: FROM, dir: '' },
        appUrl: APP_URL,
        defaultLocale: 'en',
        environment: 'production',
      },
      record: new DeliveryRecord(database.knex),
      i18n: await loadI18n([LOCALES], 'en'),
      templatesDir: TEMPLATES,
      events,
    });
    await delivery.start();
    return new CatamountSender(delivery, database, events);
  }

  async send(to: Person, n: number): Promise<void> {
    const id = `bench-${process.pid}-${n}`;
    await runInContext({ jobId: id, attempt: 1 }, () => this.delivery.deliver(UserMailer.welcome(to)));
    // The processor emits this at the end of a job; the mailer then drops its state for the keys of the job's mails.
    this.events.emit('job.succeeded', { id, class: 'Bench', queue: 'mailer', requestId: undefined, durationMs: 0 });
  }

  async close(): Promise<void> {
    const deadline = Deadline.after(CLOSE_MS);
    await this.delivery.stop(deadline);
    await this.database.stop(deadline);
  }
}

/** Renders with EJS for templates, juice for CSS and i18next for texts, each compiled once. */
class HandRenderer {
  private readonly juice = peer<(html: string, options: object) => string>('juice');
  private readonly templates = new Map<string, TemplateFunction>();

  constructor() {
    const resources = (locale: string) => ({
      translation: JSON.parse(fs.readFileSync(path.join(LOCALES, `${locale}.json`), 'utf8')) as object,
    });
    void i18next.init({
      fallbackLng: 'en',
      resources: { en: resources('en'), ko: resources('ko') },
      interpolation: { escapeValue: false },
      initAsync: false,
    });
  }

  render({ email, name, locale }: Person) {
    const translate = i18next.getFixedT(locale);
    const t = (key: string, values: object = {}) => translate(key.replace(/^\./, 'email.welcome.'), { ...values });
    const subject = t('.subject', { name });
    const slots = new Map<string, string>();
    const provide = (slot: string, value: string) => void slots.set(slot, value);
    const slot = (key: string) => slots.get(key) ?? '';
    const locals = { t, locale, subject, appUrl: APP_URL, provide, slot, name, email };
    const part = (kind: string) => {
      slots.set('content', this.template(`user_mailer/welcome/${kind}`)(locals));
      return this.template(`layouts/mailer/${kind}`)(locals);
    };
    return { subject, html: this.juice(part('html'), { preserveMediaQueries: true }), text: part('text') };
  }

  private template(view: string): TemplateFunction {
    const known = this.templates.get(view);
    if (known) return known;
    const filename = path.join(TEMPLATES, `${view}.ejs`);
    const plain = view.endsWith('text') ? { escape: String } : {};
    const options = { filename, root: TEMPLATES, cache: true, ...plain };
    const compiled = ejs.compile(fs.readFileSync(filename, 'utf8'), options);
    this.templates.set(view, compiled);
    return compiled;
  }
}

/** nodemailer with hand-written rendering, without records, defaults or checks. */
class RenderingSender implements MailSender {
  protected readonly renderer = new HandRenderer();
  /** A transport with the same settings as the product's. */
  private readonly pool;

  constructor(url: string) {
    this.pool = createTransport({ pool: true, maxConnections: 2, maxMessages: 100, url });
  }

  send(to: Person): Promise<unknown> {
    return this.pool.sendMail({ from: FROM, to: { name: to.name, address: to.email }, ...this.contentFor(to) });
  }

  async close(): Promise<void> {
    this.pool.close();
  }

  protected contentFor(to: Person): { readonly subject: string; readonly html: string; readonly text: string } {
    return this.renderer.render(to);
  }
}

/** Only sends mails of the same size, which were rendered beforehand. */
class PlainSender extends RenderingSender {
  private readonly parts = {
    en: this.renderer.render({ email: 'user1000@example.com', name: `O'Brien <b> 1000`, locale: 'en' }),
    ko: this.renderer.render({ email: 'user1000@example.com', name: '김민지 1000 🐈', locale: 'ko' }),
  };

  protected override contentFor({ locale }: Person) {
    const subject = locale === 'ko' ? 'Catamount에 오신 것을 환영합니다' : 'Welcome to Catamount';
    return { ...this.parts[locale], subject };
  }
}

async function sendMails({ sender: name, stores, count, warmUp }: MailTask): Promise<MailResult> {
  const sender = await SENDERS[name](stores);
  await sendAll(sender, 0, warmUp, () => undefined);
  const rssMb: number[] = [];
  const every = Math.ceil(count / 50);
  const begun = performance.now();
  const before = process.cpuUsage();
  await sendAll(sender, warmUp, count, (sent) => {
    if (sent % every === 0) rssMb.push(process.memoryUsage.rss() / 2 ** 20);
  });
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - begun;
  await sender.close();
  return { mailsPerSecond: (count / ms) * 1000, cpuMs: (user + system) / 1000 / count, rssMb };
}

async function sendAll(sender: MailSender, from: number, count: number, note: (sent: number) => void): Promise<void> {
  let next = from;
  let sent = 0;
  const sendNext = async () => {
    while (next < from + count) {
      const n = next++;
      await sender.send(person(n), n);
      note(++sent);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sendNext));
}

runTask(sendMails);
