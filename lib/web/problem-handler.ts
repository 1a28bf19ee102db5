import { validateHeaderName, validateHeaderValue } from 'node:http';
import type Koa from 'koa';
import { toError } from '../core/errors';
import type { Events } from '../core/events';
import { isOutage } from './outage';
import { ProblemError } from './problem';
import { hasEnded } from './request-end';

const TYPE = 'application/problem+json; charset=utf-8';

/** Answers everything thrown further in with a problem document; what nobody expected becomes `request.error` and 500. */
export function problem(events: Events): Koa.Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      if (hasEnded(ctx.res)) return;
      const answer = toProblem(thrown);
      if (answer.status >= 500 && answer !== thrown) report(events, ctx, thrown);
      forgetIntentions(ctx);
      ctx.status = answer.status;
      ctx.set({ ...answer.options.headers });
      ctx.body = JSON.stringify(answer.toDocument(ctx.requestId));
      ctx.type = TYPE;
    }
  };
}

/**
 * What Koa does with an error that no middleware can catch: a stream that breaks while it is being sent, a body that
 * cannot be written as JSON. Once the head is out nothing can be said any more; the connection is cut, so that the
 * caller does not take half an answer for a whole one.
 */
export function handleLateErrors(app: Koa, events: Events): void {
  const reported = new WeakSet<Error>();
  app.on('error', () => undefined);
  app.context.onerror = function onerror(this: Koa.Context, thrown: unknown) {
    const { res } = this;
    // Koa calls this with nothing when all went well.
    if (thrown === null || thrown === undefined) return;
    const error = toError(thrown);
    // A stream's error comes by the socket, too.
    if (reported.has(error) || (hasEnded(res) && isOfConnection(error))) return;
    reported.add(error);
    report(events, this, error);
    if (res.headersSent || hasEnded(res)) {
      res.destroy();
      return;
    }
    const answer = new ProblemError(500);
    const body = JSON.stringify(answer.toDocument(this.requestId));
    forgetIntentions(this);
    res.statusCode = answer.status;
    res.setHeader('Content-Type', TYPE);
    res.setHeader('Content-Length', Buffer.byteLength(body));
    res.end(this.method === 'HEAD' ? undefined : body);
  };
}

/** The caller left, or sent what is no HTTP: nothing of ours is wrong. */
function isOfConnection(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP_REQUEST_TIMEOUT|HPE_.*)$/.test(
    code,
  );
}

/** Takes away the headers of the answer that did not come about. */
function forgetIntentions(ctx: Pick<Koa.Context, 'remove'>): void {
  for (const name of ['Cache-Control', 'Content-Encoding', 'ETag', 'Last-Modified', 'Location']) ctx.remove(name);
}

/** Problems as they are; errors of Koa's own `ctx.throw` and `ctx.assert` by their status; all else is a bare 500. */
function toProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  if (thrown instanceof Error && 'expose' in thrown && 'status' in thrown && typeof thrown.status === 'number') {
    const { status, message } = thrown;
    const headers = 'headers' in thrown ? sendable(thrown.headers) : {};
    if (status >= 400 && status <= 599)
      return new ProblemError(status, { headers, ...(thrown.expose ? { detail: message } : {}) });
  }
  return isOutage(thrown) ? new ProblemError(503, { headers: { 'Retry-After': '2' } }) : new ProblemError(500);
}

/** Of the headers that an error carries those that an answer can have. */
function sendable(headers: unknown): Record<string, string | string[]> {
  if (typeof headers !== 'object' || headers === null) return {};
  const good: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    const values = [value].flat().map(headerValue);
    if (values.length === 0 || values.includes(undefined)) continue;
    try {
      validateHeaderName(name);
      for (const each of values) validateHeaderValue(name, each ?? '');
    } catch {
      continue;
    }
    good[name] = Array.isArray(value) ? values.flatMap((each) => each ?? []) : (values[0] ?? '');
  }
  return good;
}

function headerValue(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function report(events: Events, ctx: Pick<Koa.Context, 'method' | 'path' | 'requestId'>, thrown: unknown): void {
  const { method, path, requestId } = ctx;
  events.emit('request.error', { error: toError(thrown), method, path, requestId });
}
