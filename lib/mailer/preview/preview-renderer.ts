import fs from 'node:fs';
import path from 'node:path';
import { createTransport } from 'nodemailer';
import type { Config } from '../../core/config';
import { runInContext } from '../../core/execution-context';
import { loadI18n } from '../../core/i18n';
import { toError } from '../../support/async';
import { ActionRun } from '../compose/action-run';
import { MailComposer } from '../compose/composer';
import type { Mail } from '../compose/mail';
import { MailCancelled, TemplateError } from '../definition/errors';
import type { MailOptions, OutgoingMessage } from '../definition/mail-types';
import type { MailSetup } from '../definition/setup';
import { MailMessage } from '../message';
import { Renderer } from '../render/renderer';
import { mimeOptions } from '../transport/transport';
import type { PreviewError, PreviewedMail, PreviewRequest, PreviewResponse, Previews } from './preview-registry';

interface PreviewRendererOptions {
  readonly config: Pick<Config, 'appUrl' | 'defaultLocale' | 'environment' | 'mail'>;
  readonly app: AppFolders;
  readonly templatesDir: string;
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
      return describeFault(thrown, this.options.app);
    }
  }

  private async carryOut(request: MailRequest, message: MailMessage): Promise<PreviewResponse> {
    const { config, localesDir } = this.options;
    const { render } = await this.options.setup();
    // The texts are read anew every time, since they change while a mail is being written.
    const i18n = await loadI18n([localesDir], config.defaultLocale, { strict: true });
    const composer = new MailComposer({ config, i18n, renderer: this.renderer, render });
    try {
      const draft = await composer.draft(new PreviewRun(message, config.appUrl, request.locale ?? undefined));
      if (!draft) return { kind: 'none' };
      const mail = await composer.compose(draft, { messageId: `<preview@${new URL(config.appUrl).hostname}>` });
      return await this.written(mail, draft.texts.locale);
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

/** Lines shown before and after the failing one. */
const AROUND = 4;
/** The folder of Catamount's own code at run time. */
const OWN = path.resolve(__dirname, '../..');

interface Place {
  readonly file: string;
  readonly line: number | null;
}

interface AppFolders {
  /** Paths in the answer are relative to it. */
  readonly root: string;
  /** Folders with the app's own code. */
  readonly code: readonly string[];
}

/** Describes a failure: its place, and the lines around it. */
export function describeFault(thrown: unknown, { root, code }: AppFolders): PreviewError {
  const error = toError(thrown);
  const sources = (folder: string) => [folder, sourceFolder(folder)];
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
    excerpt: place && readExcerpt(place.file, place.line),
    stack: shown(error.stack ?? ''),
  };
}

/** Removes the place that a template error begins with, since the answer has it in fields of its own. */
function withoutPlace(message: string, file: string | null): string {
  const rest = file !== null && message.startsWith(`${file}:`) ? message.slice(file.length) : message;
  return rest === message ? message : rest.replace(/^:(\d+:)? */, '');
}

/** Returns the innermost stack frame in the app's code. Our sample app is within our own folder. */
function appFrame(error: Error, roots: readonly string[], code: readonly string[]): Place | null {
  const isBelow = (file: string, folders: readonly string[]) =>
    folders.some((folder) => file.startsWith(folder + path.sep));
  const own = [OWN, ownSource()];
  const isApps = (file: string) =>
    isBelow(file, code) ||
    (isBelow(file, roots) && !isBelow(file, own) && !file.includes(`${path.sep}node_modules${path.sep}`));
  return parseFrames(error).find(({ file }) => isApps(file)) ?? null;
}

/** Returns the frames that are in files. */
function parseFrames({ stack = '' }: Error): Place[] {
  const lines = stack.split('\n').map((line) => /^\s+at .*?(?:file:\/\/)?(\/[^():]+):(\d+):\d+\)?$/.exec(line));
  return lines.flatMap((found) => (found?.[1] ? [{ file: found[1], line: Number(found[2]) }] : []));
}

/** Our folder as stack traces name it: that of the sources, when a source map is in use. */
function ownSource(): string {
  const [here] = parseFrames(new Error('here'));
  return here ? path.resolve(path.dirname(here.file), '../..') : OWN;
}

/** Does the same for a folder that is compiled along with us, as our sample app is. */
function sourceFolder(folder: string): string {
  const built = path.dirname(OWN);
  const isAlong = folder === built || folder.startsWith(built + path.sep);
  return isAlong ? path.join(path.dirname(ownSource()), path.relative(built, folder)) : folder;
}

function readExcerpt(file: string, line: number | null): PreviewError['excerpt'] {
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const at = line ?? 1;
    const from = Math.max(1, at - AROUND);
    return { from, lines: lines.slice(from - 1, at + AROUND) };
  } catch {
    return null;
  }
}
