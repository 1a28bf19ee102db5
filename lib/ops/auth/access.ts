import { isSameSecret } from '../../support/same-secret';
import { readBody } from '../../web/body';
import { accessMode, isFromHere, isLoopbackHost } from '../ui/access-mode';
import type { OpsContext, OpsMiddleware } from '../ui/page-types';
import { formToken, localizedProblem, setCookie } from '../ui/shell';
import { unsigned } from './sessions';
import { type AuthParts, admitByBasic, exchangeToken, SIGN_IN, showSignIn } from './sign-in';

const FIELD = 'token';
const BASIC = /^basic +([\w+/=-]+)$/i;

/**
 * Fields of a form that this visitor's own page has sent.
 * @throws ProblemError 403 for another origin or a stale token, 415 for a body that is not a form, 413 for a large one.
 */
export async function readForm(ctx: OpsContext): Promise<URLSearchParams> {
  const origin = ctx.get('Origin');
  if (!URL.canParse(origin) || new URL(origin).host !== ctx.host) throw localizedProblem(403, 'elsewhere');
  if (!ctx.is('application/x-www-form-urlencoded')) throw localizedProblem(415, 'noForm');
  const form = new URLSearchParams((await readBody(ctx.res)).toString('utf8'));
  if (!isSameSecret(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw localizedProblem(403, 'stale');
  return form;
}

/**
 * Guards everything below /ops except the assets: a guest may only sign in, and a form must come from the visitor's own
 * page.
 */
export function authenticate(site: AuthParts): OpsMiddleware {
  const mode = accessMode(site.config);
  return async (ctx, next) => {
    if (mode === 'token') assertFromHere(ctx);
    const bears = mode === 'token' && site.sessions.opens(ctx.get('Authorization').replace(/^bearer /i, ''));
    const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
    // Browsers send it by themselves, also from other sites, so it only reads.
    const basic = mode === 'signed' && reads && ctx.state.json && BASIC.exec(ctx.get('Authorization'))?.[1];
    if (basic) await admitByBasic(site, ctx, basic);
    const cookies = ctx.get('Cookie');
    const visitor = bears || basic ? unsigned('operator', cookies) : await site.sessions.visitor(cookies, ctx.host);
    ctx.state.visitor = visitor;
    const { token } = ctx.query;
    if (
      mode === 'token' &&
      reads &&
      token !== undefined &&
      (visitor.role === 'guest' || site.sessions.opens(String(token)))
    )
      return exchangeToken(site, ctx);
    if (visitor.role === 'guest' && ctx.path !== SIGN_IN) {
      // Every path gives the same reply, so that a stranger cannot find out which pages exist.
      if (ctx.state.json || !reads) throw localizedProblem(404, 'signedOut');
      // A link on another site omits our SameSite cookies; a reload from our own page sends them.
      if (/^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) ctx.set('Refresh', `0; url=${ctx.originalUrl}`);
      ctx.status = ctx.path === '/ops' ? 200 : 404;
      return showSignIn(site, ctx, {});
    }
    if (bears) setCookie(ctx, site.config, site.sessions.formCookie(visitor));
    if (!reads) {
      // A slow sender of a body must not occupy a request slot.
      ctx.releaseSlot();
      ctx.state.form = await readForm(ctx);
    }
    await next();
  };
}

function assertFromHere(ctx: OpsContext): void {
  if (!isLoopbackHost(ctx.host)) throw localizedProblem(403, 'otherHost', { values: { host: ctx.host } });
  if (!isFromHere(ctx)) throw localizedProblem(403, 'otherMachine');
  const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!reads && /^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) throw localizedProblem(403, 'elsewhere');
}
