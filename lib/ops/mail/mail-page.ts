import { LOCALES } from '../../core/config';
import { snakeCase } from '../../support/snake-case';
import type { OpsContext, PageContext } from '../ui/context';
import { linkWith } from '../ui/format';
import { localizedProblem } from '../ui/shell';

import { type ParsedMail, previewLine } from './parsed-mail';

const PARTS = ['html', 'text', 'source', 'headers', 'raw'] as const;
const WIDTHS = ['desktop', 'phone'] as const;
const SCHEMES = ['light', 'dark'] as const;

/** Gmail cuts HTML off above this, bytes. */
const CLIPPED_ABOVE = 102_000;
/** More of a source is not shown, characters; the download has it all. */
const SHOWN = 200_000;

/** One mail on a page: tabs, frame, attachments. */
interface MailPage {
  readonly mail: ParsedMail;
  /** Address of this mail, without a query. */
  readonly base: string;
  /** Offer the mail in every language? */
  readonly locales: boolean;
  /** For the list at its side. */
  readonly index: object;
  /** Of a preview: which. */
  readonly preview?: string;
  /** The language that it is shown in. Default: what the mail says. */
  readonly shownIn?: string;
  readonly live?: string;
}

/** Shows the mail as its page, or as JSON. */
export async function showMail(site: PageContext, ctx: OpsContext, page: MailPage): Promise<void> {
  const { mail, base } = page;
  const query = langQuery(ctx);
  const files = mail.attachments.map(({ name, type, content, cid }, index) => {
    return { name, type, size: content.length, inline: cid !== null, href: `${base}/attachments/${index}${query}` };
  });
  const htmlSize = Buffer.byteLength(mail.html ?? '');
  const parts = PARTS.filter((part) => mail.html !== null || (part !== 'html' && part !== 'source'));
  const part = oneOf(ctx, 'part', parts);
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
    line: previewLine(mail.html, mail.text),
    parts,
    part,
    width: oneOf(ctx, 'width', WIDTHS),
    widths: WIDTHS,
    scheme: oneOf(ctx, 'scheme', SCHEMES),
    schemes: SCHEMES,
    source: source.slice(0, SHOWN),
    cutOff: source.length > SHOWN,
  };
  await site.pages.show(ctx, 'mail/mail', locals, {
    ...jsonOf(mail),
    size: { html: htmlSize, source: mail.source.length },
    attachments: files,
  });
}

/** What else a mail's address leads to: its HTML for the frame, the whole as a file, an attachment. */
export function answerPiece(ctx: OpsContext, mail: ParsedMail, piece: string): void {
  const [, index] = /^attachments\/(\d{1,4})$/.exec(piece) ?? [];
  const file = index === undefined ? undefined : mail.attachments[Number(index)];
  if (piece === 'body') renderFrame(ctx, mail);
  else if (piece === 'mail.eml') download(ctx, mail.source, 'message/rfc822', `${mail.subject || 'mail'}.eml`);
  else if (file) download(ctx, file.content, 'application/octet-stream', file.name);
  else throw localizedProblem(404, 'missing');
}

/** Never shown by the browser: what is in it is not ours. */
function download(ctx: OpsContext, bytes: Buffer, type: string, name: string): void {
  ctx.attachment(name.replace(/[\p{Cc}/\\]/gu, '_').slice(-150));
  ctx.set({ 'Content-Security-Policy': "default-src 'none'; sandbox", 'X-Content-Type-Options': 'nosniff' });
  ctx.type = type;
  ctx.body = bytes;
}

function jsonOf({ attachments: _, source: __, ...mail }: ParsedMail): object {
  return snakeCase(mail);
}

/** The language that a preview is asked for in; null: as the mail itself has it. */
export function askedLanguage(ctx: OpsContext): string | null {
  const { lang } = ctx.query;
  return LOCALES.find((locale) => locale === lang) ?? null;
}

/** The same as a query, to go on in it. */
export function langQuery(ctx: OpsContext): string {
  return linkWith('', '', { lang: askedLanguage(ctx) });
}

function frameQuery(ctx: OpsContext): string {
  return linkWith('', '', { lang: askedLanguage(ctx), images: ctx.query.images === 'on' ? 'on' : null });
}

function oneOf<T extends string>(ctx: OpsContext, name: string, allowed: readonly T[]): T {
  const asked = ctx.query[name];
  return allowed.find((value) => value === asked) ?? (allowed[0] as T);
}

/** What the frame may do, on its element and in its answer: its links open windows of their own, no script runs. */
const SANDBOX = 'allow-popups allow-popups-to-escape-sandbox';

/**
 * For the frame that shows a mail: nothing but styles of its own. Images from elsewhere are loaded only where the reader
 * asked for them: one look at a mail must not tell its sender's server of it. Those that the mail carries are shown.
 */
function policy(remoteImages: boolean): string {
  return [
    `sandbox ${SANDBOX}`,
    "default-src 'none'",
    "style-src 'unsafe-inline'",
    `img-src data:${remoteImages ? ' http: https:' : ''}`,
    'font-src data:',
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'self'",
  ].join('; ');
}

/** Images that a mail carries are put into its HTML wherever it shows them, up to so much of all, bytes. */
const MOST_SHOWN = 20_000_000;

/** Answers with the HTML of a mail, fit for the frame. */
function renderFrame(ctx: OpsContext, mail: ParsedMail): void {
  ctx.set({
    'Content-Security-Policy': policy(ctx.query.images === 'on'),
    'X-Frame-Options': 'SAMEORIGIN',
    'Referrer-Policy': 'no-referrer',
  });
  ctx.type = 'html';
  ctx.body = frameHtml(mail) || '<!doctype html><title>–</title>';
}

/** The HTML of a mail with its own images in it, and with links that do not open in the frame; empty for none. */
export function frameHtml(mail: Pick<ParsedMail, 'html' | 'attachments'>): string {
  const html = withOwnImages(mail);
  if (html === '') return '';
  const at = /<head\b[^<>]*>/i.exec(html) ?? /^\s*<!doctype[^>]*>/i.exec(html);
  const end = at ? at.index + at[0].length : 0;
  return `${html.slice(0, end)}<base target="_blank">${html.slice(end)}`;
}

/** `cid:` becomes the bytes themselves: from within its sandbox the frame cannot ask us for them. */
function withOwnImages({ html, attachments }: Pick<ParsedMail, 'html' | 'attachments'>): string {
  const images = new Map(attachments.filter(({ cid }) => cid !== null).map((one) => [one.cid, one]));
  let room = MOST_SHOWN;
  return (html ?? '').replace(/cid:([^"'\s)>\\]{1,500})/gi, (whole, id: string) => {
    const image = images.get(decoded(id)) ?? images.get(id);
    const type = image && /^image\/[\w.+-]+$/.exec(image.type)?.[0];
    if (!image || !type || image.content.length > room) return whole;
    room -= image.content.length;
    return `data:${type};base64,${image.content.toString('base64')}`;
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** How many images of the mail lie elsewhere. */
export function remoteImages(html: string | null): number {
  const found = html?.match(/(?:<img\b[^<>]*?\bsrc\s*=\s*["']?|\burl\(\s*["']?|\bbackground\s*=\s*["']?)https?:\/\//gi);
  return found?.length ?? 0;
}
