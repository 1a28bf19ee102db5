import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createTransport } from 'nodemailer';
import { type Config, isLocale } from '../../core/config';
import { runInContext } from '../../core/execution-context';
import { loadI18n } from '../../core/i18n';
import { toError } from '../../support/async';
import { ActionRun } from '../compose/action-run';
import { MailComposer } from '../compose/composer';
import { mailboxes } from '../compose/headers';
import type { DeliveryMethod, Mail } from '../compose/mail';
import { MailCancelled, TemplateError } from '../definition/errors';
import type { MailOptions, OutgoingMessage } from '../definition/mail-types';
import type { MailSetup } from '../definition/setup';
import { MailMessage } from '../message';
import { Renderer } from '../render/renderer';
import { mimeOptions } from '../transport/transport';
import type { Transports } from '../transport/transports';
import type { PreviewError, PreviewedMail, PreviewRequest, PreviewResponse, Previews } from './preview-registry';

interface PreviewRendererOptions {
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
  readonly inRolledBackTransaction: <T>(work: () => Promise<T>) => Promise<T>;
}

type OrderOfOne = Exclude<PreviewRequest, { readonly ask: 'names' }>;

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
  async answer(order: PreviewRequest): Promise<PreviewResponse> {
    try {
      const previews = this.options.previews();
      if (order.ask === 'names') return { kind: 'names', names: previews.names() };
      const Preview = previews.find(order);
      if (!Preview) return { kind: 'unknown' };
      const locale = isLocale(order.locale) ? order.locale : this.options.config.defaultLocale;
      return await runInContext({ locale }, () =>
        this.options.inRolledBackTransaction(async () => {
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

  private async carryOut(order: OrderOfOne, message: MailMessage): Promise<PreviewResponse> {
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
    { to, prefix }: Extract<PreviewRequest, { readonly ask: 'send' }>,
    method: DeliveryMethod | undefined,
  ): Promise<PreviewResponse> {
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

/** Lines shown before and after the one at fault. */
const AROUND = 4;
/** Where Catamount's code lies as it runs. */
const OWN = path.resolve(__dirname, '../..');

interface Place {
  readonly file: string;
  readonly line: number | null;
}

interface AppFolders {
  /** What is told is relative to it. */
  readonly root: string;
  /** With code of the app's own. */
  readonly code: readonly string[];
}

/** Tells where something failed, with the lines around the place. */
export function faultOf(thrown: unknown, { root, code }: AppFolders): PreviewError {
  const error = toError(thrown);
  const sources = (folder: string) => [folder, sourceOf(folder)];
  const roots = sources(root);
  const place =
    error instanceof TemplateError
      ? { file: error.template, line: error.line }
      : appFrame(error, roots, code.flatMap(sources));
  const shown = (text: string) => roots.reduce((rest, folder) => rest.replaceAll(`${folder}${path.sep}`, ''), text);
  return {
    kind: 'fault',
    name: error.name,
    message: withoutPlace(shown(error.message), place && shown(place.file)),
    file: place && shown(place.file),
    line: place?.line ?? null,
    excerpt: place && excerptOf(place.file, place.line),
    stack: shown(error.stack ?? ''),
  };
}

/** A template's error begins with its place, which is told anyway. */
function withoutPlace(message: string, file: string | null): string {
  const rest = file !== null && message.startsWith(`${file}:`) ? message.slice(file.length) : message;
  return rest === message ? message : rest.replace(/^:(\d+:)? */, '');
}

/** The innermost frame that is the app's. Our own sample app lies among our own code. */
function appFrame(error: Error, roots: readonly string[], code: readonly string[]): Place | null {
  const isBelow = (file: string, folders: readonly string[]) =>
    folders.some((folder) => file.startsWith(folder + path.sep));
  const own = [OWN, ownSource()];
  const isApps = (file: string) =>
    isBelow(file, code) ||
    (isBelow(file, roots) && !isBelow(file, own) && !file.includes(`${path.sep}node_modules${path.sep}`));
  return framesOf(error).find(({ file }) => isApps(file)) ?? null;
}

/** Those in files. */
function framesOf({ stack = '' }: Error): Place[] {
  const lines = stack.split('\n').map((line) => /^\s+at .*?(?:file:\/\/)?(\/[^():]+):(\d+):\d+\)?$/.exec(line));
  return lines.flatMap((found) => (found?.[1] ? [{ file: found[1], line: Number(found[2]) }] : []));
}

/** Where our code lies as stacks tell of it: its sources, where a source map leads there. */
function ownSource(): string {
  const [here] = framesOf(new Error('here'));
  return here ? path.resolve(path.dirname(here.file), '../..') : OWN;
}

/** The same for what is compiled along with us, as our sample app is. */
function sourceOf(folder: string): string {
  const built = path.dirname(OWN);
  const isAlong = folder === built || folder.startsWith(built + path.sep);
  return isAlong ? path.join(path.dirname(ownSource()), path.relative(built, folder)) : folder;
}

function excerptOf(file: string, line: number | null): PreviewError['excerpt'] {
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const at = line ?? 1;
    const from = Math.max(1, at - AROUND);
    return { from, lines: lines.slice(from - 1, at + AROUND) };
  } catch {
    return null;
  }
}
