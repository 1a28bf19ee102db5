import type Koa from 'koa';
import { ERROR, type Tracer } from '../core/tracing';
import type { Probes } from './options';
import { onRequestEnd } from './request-end';

/** The methods that OpenTelemetry knows. */
const METHODS = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE']);

/**
 * Traces requests, by the conventions for HTTP servers, except those of probes and of the operator's pages. The query of a URL is
 * left out, since it may carry secrets.
 */
export function traceRequests(tracer: Tracer, { health, ready }: Required<Probes>): Koa.Middleware {
  return (ctx, next) => {
    if (ctx.path === health || ctx.path === ready || /^\/ops(\.json|\/|$)/.test(ctx.path)) return next();
    const isKnown = METHODS.has(ctx.method);
    const name = isKnown ? ctx.method : 'HTTP';
    const span = tracer.serve(
      name,
      () => ({
        'http.request.method': isKnown ? ctx.method : '_OTHER',
        'http.request.method_original': isKnown ? undefined : ctx.method,
        'url.path': ctx.path,
        'url.scheme': ctx.protocol,
        'server.address': ctx.hostname || undefined,
        'client.address': ctx.ip,
        'user_agent.original': ctx.get('User-Agent') || undefined,
        'network.protocol.version': ctx.req.httpVersion,
      }),
      ctx.headers,
    );
    if (span.isRecording())
      onRequestEnd(ctx.res, () => {
        const { statusCode, writableFinished, headersSent } = ctx.res;
        if (ctx._matchedRoute !== undefined) {
          const route = String(ctx._matchedRoute);
          span.updateName(`${name} ${route}`).setAttribute('http.route', route);
        }
        if (headersSent) span.setAttribute('http.response.status_code', statusCode);
        if (ctx.queuedMs > 0) span.setAttribute('catamount.request.queued_ms', ctx.queuedMs);
        const fault = writableFinished ? statusCode >= 500 && String(statusCode) : 'client_left';
        if (fault) span.setStatus({ code: ERROR }).setAttribute('error.type', fault);
        span.end();
      });
    return tracer.within(span, next);
  };
}
