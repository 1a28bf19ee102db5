import { createHmac } from 'node:crypto';
import { isSameSecret } from '../../support/same-secret';
import type { OpsContext } from './page-types';
import { linkWith } from './shell';

/**
 * Redirects to the page that follows a form and shows its outcome. The address carries the outcome, signed with the
 * visitor's secret, so that no link from elsewhere can make a page say something.
 */
export function redirectWithFlash(ctx: OpsContext, to: string, flash: object): void {
  const { pathname, search } = new URL(to, 'http://here');
  const text = Buffer.from(JSON.stringify(flash)).toString('base64url');
  ctx.status = 303;
  ctx.redirect(linkWith(pathname, search, { flash: `${text}.${sign(ctx, text)}` }));
}

/** The outcome that the address carries; undefined when there is none. */
export function readFlash<Flash extends object>(ctx: OpsContext): Flash | undefined {
  const [text = '', signature = ''] = String(ctx.query.flash ?? '').split('.');
  if (text === '' || !isSameSecret(signature, sign(ctx, text))) return undefined;
  return JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Flash;
}

function sign({ state }: OpsContext, text: string): string {
  return createHmac('sha256', state.visitor.secret).update(`flash ${text}`).digest('base64url');
}
