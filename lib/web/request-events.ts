import type Koa from 'koa';
import type { Events } from '../core/events';
import { onRequestEnd } from './request-end';

/** nginx's code for a client that disconnected before the response was complete. */
const CLIENT_LEFT = 499;

/** Emits `request.started`, and `request.finished` once per request, however it ends. */
export function requestEvents(events: Events): Koa.Middleware {
  return (ctx, next) => {
    const startedAt = performance.now();
    // `path` excludes the query, which may carry secrets.
    const { method, path, requestId } = ctx;
    events.emit('request.started', { method, path, requestId });
    onRequestEnd(ctx.res, () => {
      events.emit('request.finished', {
        method: ctx.method,
        path: ctx.path,
        status: ctx.res.writableFinished ? ctx.res.statusCode : CLIENT_LEFT,
        durationMs: hundredths(performance.now() - startedAt),
        queuedMs: hundredths(ctx.queuedMs),
        sqlMs: hundredths(ctx.sql.ms),
        sqlCount: ctx.sql.count,
        internal: ctx.internal,
        shedReason: ctx.shedReason,
        requestId: ctx.requestId,
        remoteAddress: ctx.ip,
      });
    });
    return next();
  };
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100;
}
