import type Koa from 'koa';
import { isSameSecret } from '../../support/same-secret';
import { readBody } from '../../web/body';
import { accessMode, isFromHere, isLoopbackHost } from '../ui/access-mode';
import type { OpsContext, OpsMiddleware, Visitor } from '../ui/page-types';
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
    const authorized = await authorizedByApp(site, ctx);
    if (!authorized && hasAnswered(ctx)) return;
    if (mode === 'token' && !authorized) assertFromHere(ctx);
    const bears = mode === 'token' && site.sessions.opens(ctx.get('Authorization').replace(/^bearer /i, ''));
    const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
    // Browsers send it by themselves, also from other sites, so it only reads.
    const basic = mode === 'signed' && reads && ctx.state.json && BASIC.exec(ctx.get('Authorization'))?.[1];
    if (basic) await admitByBasic(site, ctx, basic);
    const cookies = ctx.get('Cookie');
    const visitor =
      authorized ?? (bears || basic ? unsigned('operator', cookies) : await site.sessions.visitor(cookies, ctx.host));
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
      // Nobody can sign in here.
      if (mode === 'absent') throw localizedProblem(404, 'missing');
      ctx.status = ctx.path === '/ops' ? 200 : 404;
      return showSignIn(site, ctx, {});
    }
    if (bears || authorized) setCookie(ctx, site.config, site.sessions.formCookie(visitor));
    if (!reads) {
      if (visitor.role === 'viewer') throw localizedProblem(403, 'viewer');
      // A slow sender of a body must not occupy a request slot.
      ctx.releaseSlot();
      ctx.state.form = await readForm(ctx);
    }
    await next();
  };
}

/**
 * @returns the visitor whom the app's own sign-in knows; undefined for everybody else.
 * @throws what `authorize` throws, and TypeError for an answer that is no operator.
 */
async function authorizedByApp({ additions }: AuthParts, ctx: OpsContext): Promise<Visitor | undefined> {
  const answer = await additions?.authorize?.(ctx as unknown as Koa.Context);
  if (answer === null || answer === undefined) return undefined;
  const { name, role = 'operator' } = typeof answer === 'string' ? { name: answer } : answer;
  if (typeof name !== 'string' || !/^[^\p{Cc}]{1,200}$/u.test(name) || !['operator', 'viewer'].includes(role))
    throw new TypeError(
      `ops.authorize of defineApp returned ${JSON.stringify(answer)}; return { name, role }, with a name of 1 to 200 characters and the role operator or viewer, or null`,
    );
  return { ...unsigned(role, ctx.get('Cookie')), name };
}

/** True if `authorize` has answered the request, such as by a redirect to the app's sign-in. */
function hasAnswered({ status, body }: OpsContext): boolean {
  return status !== 404 || (body !== undefined && body !== null);
}

function assertFromHere(ctx: OpsContext): void {
  if (!isLoopbackHost(ctx.host)) throw localizedProblem(403, 'otherHost', { values: { host: ctx.host } });
  if (!isFromHere(ctx)) throw localizedProblem(403, 'otherMachine');
  const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!reads && /^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) throw localizedProblem(403, 'elsewhere');
}
