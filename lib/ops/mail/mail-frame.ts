import type { OpsContext } from '../ui/page-types';
import type { ParsedMail } from './parsed-mail';

/** Sandbox flags of the frame, for its element and its response: links open new windows, scripts do not run. */
export const SANDBOX = 'allow-popups allow-popups-to-escape-sandbox';

/**
 * The CSP of the frame with a mail: it allows inline styles and embedded images only. Remote images need the reader's
 * consent, since loading them would tell the sender's server that the mail was opened.
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

/** Maximum total size of the embedded images that are inlined into the HTML of a mail, bytes. */
const MAX_INLINED = 20_000_000;

export function renderFrame(ctx: OpsContext, mail: ParsedMail): void {
  ctx.set({
    'Content-Security-Policy': policy(ctx.query.images === 'on'),
    'X-Frame-Options': 'SAMEORIGIN',
    'Referrer-Policy': 'no-referrer',
  });
  ctx.type = 'html';
  ctx.body = frameHtml(mail) || '<!doctype html><title>–</title>';
}

/** The HTML of a mail with its embedded images inlined and links that open outside of the frame; empty for none. */
export function frameHtml(mail: Pick<ParsedMail, 'html' | 'attachments'>): string {
  const html = withOwnImages(mail);
  if (html === '') return '';
  const at = /<head\b[^<>]*>/i.exec(html) ?? /^\s*<!doctype[^>]*>/i.exec(html);
  const end = at ? at.index + at[0].length : 0;
  return `${html.slice(0, end)}<base target="_blank">${html.slice(end)}`;
}

/** Replaces `cid:` URLs by `data:` URLs, since the sandboxed frame cannot load images from this server. */
function withOwnImages({ html, attachments }: Pick<ParsedMail, 'html' | 'attachments'>): string {
  const images = new Map(attachments.filter(({ cid }) => cid !== null).map((one) => [one.cid, one]));
  let room = MAX_INLINED;
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

export function remoteImages(html: string | null): number {
  const found = html?.match(/(?:<img\b[^<>]*?\bsrc\s*=\s*["']?|\burl\(\s*["']?|\bbackground\s*=\s*["']?)https?:\/\//gi);
  return found?.length ?? 0;
}
