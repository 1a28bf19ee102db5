import type { OpsContext } from '../context';
import type { OpenedMail } from './opened-mail';

/**
 * For the frame that shows a mail: no script runs, nothing is fetched, no form is sent. Images from elsewhere are not
 * loaded: one look at a mail must not tell its sender's server of it. Those that the mail carries are shown.
 */
const POLICY = [
  'sandbox',
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
].join('; ');

/** Answers with the HTML of a mail, fit for the frame. */
export function answerFrame(ctx: OpsContext, mail: OpenedMail): void {
  ctx.set({ 'Content-Security-Policy': POLICY, 'X-Frame-Options': 'SAMEORIGIN', 'Referrer-Policy': 'no-referrer' });
  ctx.type = 'html';
  ctx.body = withOwnImages(mail) || '<!doctype html><title>–</title>';
}

/** `cid:` becomes the bytes themselves: from within its sandbox the frame cannot ask us for them. */
function withOwnImages({ html, attachments }: OpenedMail): string {
  const images = new Map(attachments.filter(({ cid }) => cid !== null).map((one) => [one.cid, one]));
  return (html ?? '').replace(/cid:([^"'\s)>\\]+)/gi, (whole, id: string) => {
    const image = images.get(decoded(id)) ?? images.get(id);
    const type = image && /^image\/[\w.+-]+$/.exec(image.type)?.[0];
    return image && type ? `data:${type};base64,${image.content.toString('base64')}` : whole;
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
  const found = html?.match(/(?:<img\b[^>]*?\bsrc\s*=\s*["']?|\burl\(\s*["']?|\bbackground\s*=\s*["']?)https?:\/\//gi);
  return found?.length ?? 0;
}
