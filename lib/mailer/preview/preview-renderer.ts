import { randomUUID } from 'node:crypto';
import { createTransport } from 'nodemailer';
import type { Config } from '../../core/config';
import { runInContext } from '../../core/execution-context';
import { loadI18n } from '../../core/i18n';
import { isLocale } from '../../core/locale';
import { ActionRun } from '../action-run';
import { mailboxes } from '../address';
import { MailComposer } from '../composer';
import { MailCancelled } from '../errors';
import type { DeliveryMethod, Mail, MailOptions } from '../mail';
import { MailMessage } from '../message';
import { Renderer } from '../renderer';
import type { MailSetup } from '../setup';
import { mimeOptions } from '../transport/mime';
import type { OutgoingMessage } from '../transport/transport';
import type { Transports } from '../transport/transports';
import { type AppFolders, faultOf } from './preview-fault';
import type { Previews } from './preview-folder';
import type { PreviewedMail, PreviewOrder, PreviewReply } from './preview-order';

export interface PreviewRendererOptions {
  readonly config: Pick<Config, 'appUrl' | 'defaultLocale' | 'environment' | 'mail'>;
  readonly app: AppFolders;
  readonly templatesDir: string;
  readonly localesDir: string;
  /** These two are asked for every order, so that what cannot be loaded is told in answer to it. */
  readonly setup: () => Promise<MailSetup>;
  readonly previews: () => Previews;
  /** For tests that are really sent. */
  readonly transports: Pick<Transports, 'get'>;
  /** Runs the work so that what it writes to the database is undone. */
  readonly undone: <T>(work: () => Promise<T>) => Promise<T>;
}

type OrderOfOne = Exclude<PreviewOrder, { readonly ask: 'names' }>;

/** Renders previews as delivery renders mails; sends one only when asked for a test. Loads email-templates. */
export class PreviewRenderer {
  private readonly renderer: Renderer;
  private readonly writer = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });

  constructor(private readonly options: PreviewRendererOptions) {
    const { config, templatesDir } = options;
    const cache = config.environment === 'production';
    this.renderer = new Renderer({ templatesDir, cache, appUrl: config.appUrl });
  }

  /** Never rejects: what fails is told. */
  async answer(order: PreviewOrder): Promise<PreviewReply> {
    try {
      const previews = this.options.previews();
      if (order.ask === 'names') return { kind: 'names', names: previews.names() };
      const Preview = previews.find(order);
      if (!Preview) return { kind: 'unknown' };
      const locale = isLocale(order.locale) ? order.locale : this.options.config.defaultLocale;
      return await runInContext({ locale }, () =>
        this.options.undone(async () => {
          const preview = new Preview(locale) as unknown as Readonly<Record<string, () => unknown>>;
          const message = await preview[order.action]?.();
          if (!(message instanceof MailMessage)) {
            throw new TypeError(
              `${Preview.name}#${order.action} must return a message, such as UserMailer.welcome(user)`,
            );
          }
          return this.carryOut(order, message);
        }),
      );
    } catch (thrown) {
      return faultOf(thrown, this.options.app);
    }
  }

  private async carryOut(order: OrderOfOne, message: MailMessage): Promise<PreviewReply> {
    const { config, localesDir } = this.options;
    const { render } = await this.options.setup();
    // Read anew every time: texts change while a mail is written.
    const i18n = await loadI18n([localesDir], config.defaultLocale, { strict: true });
    const composer = new MailComposer({ config, i18n, renderer: this.renderer, render });
    try {
      const draft = await composer.draft(new PreviewRun(message, config.appUrl, order.locale ?? undefined));
      if (!draft) return { kind: 'none' };
      const name = order.ask === 'send' ? `test.${randomUUID()}` : 'preview';
      const mail = await composer.compose(draft, { messageId: `<${name}@${new URL(config.appUrl).hostname}>` });
      return order.ask === 'send'
        ? await this.send(mail, order, draft.delivery)
        : await this.written(mail, draft.texts.locale);
    } catch (thrown) {
      if (thrown instanceof MailCancelled) return { kind: 'none' };
      throw thrown;
    }
  }

  private async written(mail: OutgoingMessage, locale: string): Promise<PreviewedMail> {
    const { message } = await this.writer.sendMail(mimeOptions(mail));
    const bcc = mail.bcc.map(({ name, address }) => (name === '' ? address : `${name} <${address}>`));
    return { kind: 'mail', eml: (message as Buffer).toString('base64'), bcc, locale };
  }

  /** As the app's mails go out, but past its interceptors and delivery records: the address is the reader's own choice. */
  private async send(
    mail: OutgoingMessage,
    { to, prefix }: Extract<PreviewOrder, { readonly ask: 'send' }>,
    method: DeliveryMethod | undefined,
  ): Promise<PreviewReply> {
    const { transports } = this.options;
    const subject = `${prefix} ${mail.subject}`;
    const receipt = await transports.get(method).send({ ...mail, subject, to: mailboxes('to', to), cc: [], bcc: [] });
    return { kind: 'sent', response: receipt.response ?? '' };
  }
}

/** A run whose mail is in the locale that the reader has chosen. */
class PreviewRun extends ActionRun {
  constructor(
    message: MailMessage,
    appUrl: string,
    private readonly locale: string | undefined,
  ) {
    super(message, appUrl);
  }

  override mail(options: MailOptions): Mail {
    return super.mail(this.locale === undefined ? options : { ...options, locale: this.locale });
  }
}
