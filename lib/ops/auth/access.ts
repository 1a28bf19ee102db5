import { sameText } from '../../support/text';
import { readBody } from '../../web/body';
import { accessMode, isFromHere, isLoopbackHost } from '../ui/access-mode';
import type { OpsContext, OpsMiddleware } from '../ui/context';
import { formToken, localizedProblem, setCookie } from '../ui/shell';
import { unsigned } from './sessions';
import { type AuthParts, exchangeToken, roleByBasic, SIGN_IN, SIGN_OUT, showSignIn } from './sign-in';

/**
 * Guards pages that show addresses, arguments or contents, and questions whose answer only an operator may give.
 * @throws ProblemError 403 unless the visitor is an operator.
 */
export function assertOperator(ctx: OpsContext): void {
  if (ctx.state.visitor.role !== 'operator') throw localizedProblem(403, 'viewer');
}

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
  if (!sameText(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw localizedProblem(403, 'stale');
  return form;
}

/**
 * Guards everything below /ops except the assets: who may read, who may change something, and that a form comes from the
 * visitor's own page. A guest may only sign in, and a viewer may only read: all methods other than GET and HEAD, and so
 * every action on jobs, mails and processes, are for operators.
 */
export function authenticate(site: AuthParts): OpsMiddleware {
  const mode = accessMode(site.config);
  return async (ctx, next) => {
    if (mode === 'token') assertFromHere(ctx);
    const bears = mode === 'token' && site.sessions.opens(ctx.get('Authorization').replace(/^bearer /i, ''));
    const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
    // Browsers send it by themselves, also from other sites, so it only reads.
    const basic = mode === 'signed' && reads && ctx.state.json && BASIC.exec(ctx.get('Authorization'))?.[1];
    const role = bears ? 'operator' : basic ? await roleByBasic(site, ctx, basic) : undefined;
    const cookies = ctx.get('Cookie');
    const visitor = role ? unsigned(role, cookies) : await site.sessions.visitor(cookies, ctx.host);
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
      if (visitor.role === 'viewer' && ctx.path !== SIGN_OUT && ctx.path !== SIGN_IN)
        throw localizedProblem(403, 'viewer');
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
