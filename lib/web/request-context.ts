import { randomUUID } from 'node:crypto';
import type Koa from 'koa';
import { runInContext } from '../core/execution-context';
import { isLocale, LOCALES, type Locale } from '../core/locale';

/** Nothing in it can break a log line or a header. */
const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/;

/** Names the request and its locale, for log lines, answers and the jobs it enqueues. */
export function requestContext(defaultLocale: Locale): Koa.Middleware {
  return (ctx, next) => {
    const given = ctx.get('X-Request-Id');
    ctx.requestId = WELL_FORMED.test(given) ? given : randomUUID();
    ctx.locale = preferredLocale(ctx, defaultLocale);
    ctx.queuedMs = 0;
    ctx.beside = false;
    ctx.ops = undefined;
    ctx.refused = null;
    ctx.set('X-Request-Id', ctx.requestId);
    return runInContext({ requestId: ctx.requestId, locale: ctx.locale }, next);
  };
}

function preferredLocale(ctx: Koa.Context, defaultLocale: Locale): Locale {
  if (ctx.get('Accept-Language') === '') return defaultLocale;
  // The default stands first, so that it wins where the caller does not mind.
  const offered = [defaultLocale, ...LOCALES.filter((locale) => locale !== defaultLocale)];
  const liked = ctx.acceptsLanguages(offered);
  return isLocale(liked) ? liked : defaultLocale;
}
