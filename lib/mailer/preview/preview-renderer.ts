import path from 'node:path';
import { inspect } from 'node:util';
import { createTransport } from 'nodemailer';
import type { Config } from '../../core/config';
import { runInContext } from '../../core/execution-context';
import { loadI18n } from '../../core/i18n';
import { toError } from '../../support/to-error';
import { ActionRun } from '../compose/action-run';
import { intercept, MailComposer } from '../compose/composer';
import type { Mail } from '../compose/mail';
import { MailCancelled } from '../definition/errors';
import type { MailOptions, OutgoingMessage } from '../definition/mail-types';
import type { MailSetup } from '../definition/setup';
import { MailMessage } from '../message';
import { Renderer } from '../render/renderer';
import { mimeOptions } from '../transport/transport';
import type { PreviewError, PreviewedMail, PreviewRequest, PreviewResponse, Previews } from './preview-registry';

interface PreviewRendererOptions {
  readonly config: Pick<Config, 'appUrl' | 'defaultLocale' | 'environment' | 'mail'>;
  /** The app's folder. Paths in the description of a failure are relative to it. */
  readonly root: string;
  readonly templatesDir: string | readonly string[];
  readonly localesDir: string;
  /** Called for every request, so that a load error is part of the answer to it. */
  readonly setup: () => Promise<MailSetup>;
  readonly previews: () => Promise<Previews>;
  /** Runs the work in a transaction that is always rolled back. */
  readonly inRolledBackTransaction: <T>(work: () => Promise<T>) => Promise<T>;
}

type MailRequest = Exclude<PreviewRequest, { readonly ask: 'names' }>;

/** Renders previews as delivery renders mails. Loads email-templates. */
export class PreviewRenderer {
  private readonly renderer: Renderer;
  private readonly writer = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });

  constructor(private readonly options: PreviewRendererOptions) {
    const { config, templatesDir } = options;
    const cache = config.environment === 'production';
    this.renderer = new Renderer({ templatesDir, cache, appUrl: config.appUrl });
  }

  /** Never rejects: a failure becomes a `fault` response. */
  async answer(request: PreviewRequest): Promise<PreviewResponse> {
    try {
      const previews = await this.options.previews();
      if (request.ask === 'names') return { kind: 'names', names: previews.names() };
      const Preview = previews.find(request);
      if (!Preview) return { kind: 'unknown' };
      const locale = request.locale ?? this.options.config.defaultLocale;
      return await runInContext({ locale }, () =>
        this.options.inRolledBackTransaction(async () => {
          const preview = new Preview(locale) as unknown as Readonly<Record<string, () => unknown>>;
          const message = await preview[request.action]?.();
          if (!(message instanceof MailMessage)) {
            throw new TypeError(
              `${Preview.name}#${request.action} must return a message, such as UserMailer.welcome(user)`,
            );
          }
          return this.carryOut(request, message);
        }),
      );
    } catch (thrown) {
      return describeFault(thrown, this.options.root);
    }
  }

  private async carryOut(request: MailRequest, message: MailMessage): Promise<PreviewResponse> {
    const { config, localesDir } = this.options;
    const setup = await this.options.setup();
    // The texts are read anew every time, since they change while a mail is being written.
    const i18n = await loadI18n([localesDir], config.defaultLocale, { strict: true });
    const composer = new MailComposer({ config, i18n, renderer: this.renderer, setup });
    try {
      const draft = await composer.draft(new PreviewRun(message, config.appUrl, request.locale ?? undefined));
      if (!draft) return { kind: 'none' };
      const mail = await composer.compose(draft, { messageId: `<preview@${new URL(config.appUrl).hostname}>` });
      const origin = { mailer: draft.mailer, action: draft.action };
      return await this.written(await intercept(mail, origin, setup.previewInterceptors ?? []), draft.texts.locale);
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
}

/** A run that renders the mail in the locale chosen by the reader. */
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

/** Describes a failure. The stack has its causes, and with them the lines around a place in a template. */
export function describeFault(thrown: unknown, root: string): PreviewError {
  const error = toError(thrown);
  const shown = (text: string) => text.replaceAll(`${root}${path.sep}`, '');
  return { kind: 'fault', name: error.name, message: shown(error.message), stack: shown(inspect(error)) };
}
