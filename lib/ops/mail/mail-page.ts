import { canonicalLocale } from '../../core/locales';
import { snakeCase } from '../../support/snake-case';
import type { OpsContext, PageContext } from '../ui/page-types';
import { linkWith, localizedProblem } from '../ui/shell';
import { remoteImages, renderFrame, SANDBOX } from './mail-frame';
import type { ParsedMail } from './parsed-mail';

const PARTS = ['html', 'text', 'source', 'headers', 'raw'] as const;
const WIDTHS = ['desktop', 'phone'] as const;
const SCHEMES = ['light', 'dark'] as const;

/** Gmail clips HTML above this size, bytes. */
const CLIPPED_ABOVE = 102_000;
/** Maximum number of characters of a source that are shown; the download has all of it. */
const MAX_SOURCE = 200_000;

interface MailPage {
  readonly mail: ParsedMail;
  /** Path of this mail, without a query. */
  readonly base: string;
  /** The languages that the mail is offered in; false: only in its own. */
  readonly locales: readonly Language[] | false;
  readonly index: object;
  readonly preview?: string;
  /** The language that it is shown in. Default: the mail's own. */
  readonly shownIn?: string;
  readonly live?: string;
}

export async function showMail(site: PageContext, ctx: OpsContext, page: MailPage): Promise<void> {
  const { mail, base } = page;
  const query = langQuery(ctx);
  const files = mail.attachments.map(({ name, type, content, cid }, index) => {
    return { name, type, size: content.length, inline: cid !== null, href: `${base}/attachments/${index}${query}` };
  });
  const htmlSize = Buffer.byteLength(mail.html ?? '');
  const parts = PARTS.filter((part) => mail.html !== null || (part !== 'html' && part !== 'source'));
  const part = readOption(ctx, 'part', parts);
  const source = part === 'raw' ? mail.source.toString('utf8') : (mail.html ?? '');
  const locals = {
    title: mail.subject || ctx.state.t('mail.noSubject'),
    preview: null,
    shownIn: mail.locale,
    ...page,
    files,
    query,
    frame: `${base}/body${frameQuery(ctx)}`,
    sandbox: SANDBOX,
    htmlSize,
    textSize: Buffer.byteLength(mail.text ?? ''),
    clipped: htmlSize > CLIPPED_ABOVE,
    limit: CLIPPED_ABOVE,
    remote: remoteImages(mail.html),
    imagesOn: ctx.query.images === 'on',
    parts,
    part,
    width: readOption(ctx, 'width', WIDTHS),
    widths: WIDTHS,
    scheme: readOption(ctx, 'scheme', SCHEMES),
    schemes: SCHEMES,
    source: source.slice(0, MAX_SOURCE),
    cutOff: source.length > MAX_SOURCE,
  };
  await site.layout.show(ctx, 'mail/mail', locals, {
    ...mailJson(mail),
    size: { html: htmlSize, source: mail.source.length },
    attachments: files,
  });
}

/** Answers the paths below a mail: its HTML for the frame, its source as a file, an attachment. */
export function answerPiece(ctx: OpsContext, mail: ParsedMail, piece: string): void {
  const [, index] = /^attachments\/(\d{1,4})$/.exec(piece) ?? [];
  const file = index === undefined ? undefined : mail.attachments[Number(index)];
  if (piece === 'body') renderFrame(ctx, mail);
  else if (piece === 'mail.eml') download(ctx, mail.source, 'message/rfc822', `${mail.subject || 'mail'}.eml`);
  else if (file) download(ctx, file.content, 'application/octet-stream', file.name);
  else throw localizedProblem(404, 'missing');
}

/** Answers with a download, which the browser must never render, since its content is not ours. */
function download(ctx: OpsContext, bytes: Buffer, type: string, name: string): void {
  ctx.attachment(name.replace(/[\p{Cc}/\\]/gu, '_').slice(-150));
  ctx.set({ 'Content-Security-Policy': "default-src 'none'; sandbox", 'X-Content-Type-Options': 'nosniff' });
  ctx.type = type;
  ctx.body = bytes;
}

function mailJson({ attachments: _, source: __, ...mail }: ParsedMail): object {
  return snakeCase(mail);
}

/** The language requested for a preview; null for the mail's own. */
export function askedLanguage(ctx: OpsContext): string | null {
  const { lang } = ctx.query;
  return (typeof lang === 'string' && canonicalLocale(lang)) || null;
}

/** A language as the pages offer it: its tag, and its own name for itself. */
export type Language = readonly [tag: string, name: string];

export function toLanguages(locales: readonly string[]): Language[] {
  const ownName = (tag: string) => new Intl.DisplayNames([tag, 'en'], { type: 'language' }).of(tag) ?? tag;
  return locales.map((tag) => [tag, ownName(tag)]);
}

export function langQuery(ctx: OpsContext): string {
  return linkWith('', '', { lang: askedLanguage(ctx) });
}

function frameQuery(ctx: OpsContext): string {
  return linkWith('', '', { lang: askedLanguage(ctx), images: ctx.query.images === 'on' ? 'on' : null });
}

function readOption<T extends string>(ctx: OpsContext, name: string, allowed: readonly T[]): T {
  const requested = ctx.query[name];
  return allowed.find((value) => value === requested) ?? (allowed[0] as T);
}
