import type { OpsContext, OpsMiddleware } from '../context';
import { setCookie } from '../page/cookies';
import { refusal } from '../page/refusal';
import type { SiteParts } from '../site';
import { readForm } from './form-token';
import { isFromHere, isLoopbackHost } from './loopback';
import { accessMode } from './mode';
import { Sessions } from './session';
import { exchangeToken, SIGN_IN, SIGN_OUT, showSignIn } from './sign-in';

/** Lets in who may see the pages, and only their own forms. Everything below /ops but the assets is behind it. */
export function gate(site: SiteParts): OpsMiddleware {
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
      if (ctx.state.json || !reads) throw refusal(404, 'signedOut');
      // A link on somebody else's page comes without our cookies; asked again from here, they are sent.
      if (/^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) ctx.set('Refresh', `0; url=${ctx.originalUrl}`);
      ctx.status = ctx.path === '/ops' ? 200 : 404;
      return showSignIn(site, ctx, {});
    }
    if (bears) setCookie(ctx, site.config, Sessions.formCookie(visitor));
    if (!reads) {
      // Slow senders hold no slot.
      ctx.releaseSlot();
      if (visitor.role === 'viewer' && ctx.path !== SIGN_OUT && ctx.path !== SIGN_IN) throw refusal(403, 'viewer');
      ctx.state.form = await readForm(ctx);
    }
    await next();
  };
}

function assertFromHere(ctx: OpsContext): void {
  if (!isLoopbackHost(ctx.host)) throw refusal(403, 'otherHost', { values: { host: ctx.host } });
  if (!isFromHere(ctx)) throw refusal(403, 'otherMachine');
  const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!reads && /^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) throw refusal(403, 'elsewhere');
}
