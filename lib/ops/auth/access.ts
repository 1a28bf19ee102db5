import { sameText } from '../../support/text';
import { readBody } from '../../web/body';
import type { OpsContext, OpsMiddleware } from '../ui/context';
import { accessMode } from '../ui/context';
import { formToken, localizedProblem, setCookie } from '../ui/shell';
import { isFromHere, isLoopbackHost } from './loopback';
import { Sessions } from './sessions';
import type { AuthParts } from './sign-in';
import { exchangeToken, SIGN_IN, SIGN_OUT, showSignIn } from './sign-in';

/** What shows addresses, arguments or contents is for operators. @throws ProblemError 403 for a viewer. */
export function assertOperator(ctx: OpsContext): void {
  if (ctx.state.visitor.role !== 'operator') throw localizedProblem(403, 'viewer');
}

const FIELD = 'token';

/**
 * The fields of a POST that this visitor's own page has sent.
 * @throws ProblemError 403 for one from elsewhere, 415 for another kind of body, 413.
 */
export async function readForm(ctx: OpsContext): Promise<URLSearchParams> {
  const origin = ctx.get('Origin');
  if (!URL.canParse(origin) || new URL(origin).host !== ctx.host) throw localizedProblem(403, 'elsewhere');
  if (!ctx.is('application/x-www-form-urlencoded')) throw localizedProblem(415, 'noForm');
  const form = new URLSearchParams((await readBody(ctx.res)).toString('utf8'));
  if (!sameText(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw localizedProblem(403, 'stale');
  return form;
}

/** Lets in who may see the pages, and only their own forms. Everything below /ops but the assets is behind it. */
export function authenticate(site: AuthParts): OpsMiddleware {
  const mode = accessMode(site.config);
  return async (ctx, next) => {
    if (mode === 'token') assertFromHere(ctx);
    const bears = mode === 'token' && site.sessions.opens(ctx.get('Authorization').replace(/^bearer /i, ''));
    const cookies = ctx.get('Cookie');
    const visitor = bears ? site.sessions.bearer(cookies) : await site.sessions.visitor(cookies, ctx.host);
    ctx.state.visitor = visitor;
    const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
    const { token } = ctx.query;
    if (
      mode === 'token' &&
      reads &&
      token !== undefined &&
      (visitor.role === 'guest' || site.sessions.opens(String(token)))
    )
      return exchangeToken(site, ctx);
    if (visitor.role === 'guest' && ctx.path !== SIGN_IN) {
      // What there is, and whether it is there, is none of a stranger's business: every address looks alike.
      if (ctx.state.json || !reads) throw localizedProblem(404, 'signedOut');
      // A link on somebody else's page comes without our cookies; asked again from here, they are sent.
      if (/^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) ctx.set('Refresh', `0; url=${ctx.originalUrl}`);
      ctx.status = ctx.path === '/ops' ? 200 : 404;
      return showSignIn(site, ctx, {});
    }
    if (bears) setCookie(ctx, site.config, Sessions.formCookie(visitor));
    if (!reads) {
      // Slow senders hold no slot.
      ctx.releaseSlot();
      if (visitor.role === 'viewer' && ctx.path !== SIGN_OUT && ctx.path !== SIGN_IN)
        throw localizedProblem(403, 'viewer');
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
