import { randomUUID } from 'node:crypto';
import type Koa from 'koa';
import type { Locale } from '../core/config';
import { runInContext } from '../core/execution-context';

/** Allows nothing that could break a log line or a header. */
const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/;

/**
 * Sets the request id and the locale for log lines, responses and the jobs that the request enqueues. Also sets the first
 * values of what others may set later: the limiter (`queuedMs`, `shedReason`), health checks (`internal`) and /ops (`ops`).
 * @param offered the locales of the app; the first is used for a client that prefers none of them.
 */
export function requestContext(offered: readonly [Locale, ...Locale[]]): Koa.Middleware {
  return (ctx, next) => {
    const incoming = ctx.get('X-Request-Id');
    ctx.requestId = WELL_FORMED.test(incoming) ? incoming : randomUUID();
    ctx.locale = (ctx.get('Accept-Language') && ctx.acceptsLanguages([...offered])) || offered[0];
    ctx.queuedMs = 0;
    ctx.sql = { count: 0, ms: 0 };
    ctx.internal = false;
    ctx.ops = undefined;
    ctx.shedReason = null;
    ctx.set('X-Request-Id', ctx.requestId);
    return runInContext({ requestId: ctx.requestId, locale: ctx.locale, sql: ctx.sql }, next);
  };
}
