import type { OpsContext } from '../context';
import type { OpenedMail } from './opened-mail';

/** What the frame may do, on its element and in its answer: its links open windows of their own, no script runs. */
export const SANDBOX = 'allow-popups allow-popups-to-escape-sandbox';

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
export function answerFrame(ctx: OpsContext, mail: OpenedMail): void {
  ctx.set({
    'Content-Security-Policy': policy(ctx.query.images === 'on'),
    'X-Frame-Options': 'SAMEORIGIN',
    'Referrer-Policy': 'no-referrer',
  });
  ctx.type = 'html';
  ctx.body = frameHtml(mail) || '<!doctype html><title>–</title>';
}

/** The HTML of a mail with its own images in it, and with links that do not open in the frame; empty for none. */
export function frameHtml(mail: Pick<OpenedMail, 'html' | 'attachments'>): string {
  const html = withOwnImages(mail);
  if (html === '') return '';
  const at = /<head\b[^<>]*>/i.exec(html) ?? /^\s*<!doctype[^>]*>/i.exec(html);
  const end = at ? at.index + at[0].length : 0;
  return `${html.slice(0, end)}<base target="_blank">${html.slice(end)}`;
}

/** `cid:` becomes the bytes themselves: from within its sandbox the frame cannot ask us for them. */
function withOwnImages({ html, attachments }: Pick<OpenedMail, 'html' | 'attachments'>): string {
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
