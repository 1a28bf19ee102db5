import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import type Koa from 'koa';
import type { Events } from '../core/events';
import { isTlsFailure } from '../core/tls';
import { toError } from '../support/to-error';
import { bodyProblem } from './body-errors';
import { ProblemError } from './context';
import { type PageTexts, problemPage } from './problem-page';
import { hasEnded } from './request-end';

const TYPE = 'application/problem+json; charset=utf-8';

/**
 * Turns everything that later middleware throws into a problem document, or into a page for a browser. An unexpected
 * error is reported as `request.error`.
 */
export function handleErrors(events: Events, texts: PageTexts): Koa.Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      if (hasEnded(ctx.res)) return;
      const problem = toProblem(thrown, ctx.get('Content-Encoding'));
      const answer = problem ?? new ProblemError(readStatus(thrown));
      if (!problem || (problem.status >= 500 && problem !== thrown)) report(events, ctx, thrown);
      forgetIntentions(ctx);
      ctx.status = answer.status;
      ctx.vary('Accept, Accept-Language');
      const { body, headers } = represent(answer, ctx, texts);
      ctx.set({ ...answer.options.headers, ...headers });
      ctx.body = body;
    }
  };
}

/**
 * Replaces Koa's handling of errors that no middleware can catch: a stream that breaks while it is being sent, a body
 * that cannot be serialized. Once the headers have been sent, the connection is cut, so that the client does not take
 * half a response for a complete one.
 */
export function handleLateErrors(app: Koa, events: Events, texts: PageTexts): void {
  const reported = new WeakSet<Error>();
  app.on('error', () => undefined);
  app.context.onerror = function onerror(this: Koa.Context, thrown: unknown) {
    const { res } = this;
    // Koa also calls this without an error, after a successful response.
    if (thrown === null || thrown === undefined) return;
    const error = toError(thrown);
    // A stream's error arrives a second time through the socket.
    if (reported.has(error) || (hasEnded(res) && isOfConnection(error))) return;
    reported.add(error);
    report(events, this, error);
    if (res.headersSent || hasEnded(res)) {
      res.destroy();
      return;
    }
    const answer = new ProblemError(500);
    const { body, headers } = represent(answer, this, texts);
    forgetIntentions(this);
    res.statusCode = answer.status;
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    res.setHeader('Content-Length', Buffer.byteLength(body));
    res.end(this.method === 'HEAD' ? undefined : body);
  };
}

/** Browsers name HTML in Accept. Programs such as `curl` accept anything and get JSON, as do URLs ending in `.json`. */
function represent(
  answer: ProblemError,
  ctx: Pick<Koa.Context, 'accepts' | 'locale' | 'originalUrl' | 'requestId'>,
  texts: PageTexts,
): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  const html = ctx.accepts('json', 'html') === 'html' && !/\.json(\?|$)/.test(ctx.originalUrl);
  if (!html) return { body: JSON.stringify(answer.toDocument(ctx.requestId)), headers: { 'Content-Type': TYPE } };
  return problemPage(answer, ctx, texts);
}

/** @returns true if the client disconnected or sent invalid HTTP, which is not a fault of this server. */
function isOfConnection(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP_REQUEST_TIMEOUT|HPE_.*)$/.test(
    code,
  );
}

/** Removes the headers that described the response that is being replaced. */
function forgetIntentions(ctx: Pick<Koa.Context, 'remove'>): void {
  for (const name of ['Cache-Control', 'Content-Encoding', 'ETag', 'Last-Modified', 'Location']) ctx.remove(name);
}

/**
 * Keeps problems, and the statuses of Koa's `ctx.throw` and `ctx.assert`. An outage becomes a 503, a body parser's
 * error a 4xx. @param encoding the request's Content-Encoding. @returns undefined for any other error.
 */
function toProblem(thrown: unknown, encoding: string): ProblemError | undefined {
  if (thrown instanceof ProblemError) return thrown;
  if (thrown instanceof Error && 'expose' in thrown && 'status' in thrown && typeof thrown.status === 'number') {
    const { status, message } = thrown;
    const headers = 'headers' in thrown ? sendable(thrown.headers) : {};
    if (status >= 400 && status <= 599)
      return new ProblemError(status, { headers, ...(thrown.expose ? { detail: message } : {}) });
  }
  if (isOutage(thrown)) return new ProblemError(503, { headers: { 'Retry-After': '2' } });
  return bodyProblem(thrown, encoding);
}

/** The status of an unexpected error: as in Koa its own, without its message, but another server's 5xx is a bare 500. */
function readStatus(thrown: unknown): number {
  const status = thrown instanceof Error && 'status' in thrown ? thrown.status : undefined;
  return typeof status === 'number' && status in STATUS_CODES && status >= 400 && status < 500 ? status : 500;
}

/** @returns those headers of an error that are valid in a response. */
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
  events.emit('request.error', { error: withProxyAdvice(toError(thrown)), method, path, requestId });
}

/** Adds the remedy to the error of a cookie that only https may carry, such as a session behind a proxy that ends TLS. */
function withProxyAdvice(error: Error): Error {
  if (error.message !== 'Cannot send secure cookie over unencrypted connection') return error;
  const remedy = 'behind a proxy that ends TLS, set TRUST_PROXY, and have the proxy send X-Forwarded-Proto';
  return new Error(`${error.message}: ${remedy}`, { cause: error });
}

/**
 * Error codes of the network and of Postgres: class 08 (connection exception), class 53 (insufficient resources),
 * shutdown and startup (57P01 to 57P03), and a standby that accepts no writes (25006).
 */
const CODES =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|08\w{3}|53\w{3}|57P0[123]|25006)$/;
/** Errors without a code, of connections that broke or were never made. */
const MESSAGES = /^(?:Connection terminated|Client has encountered a connection error|timeout expired)/;
const MAX_DEPTH = 5;

/** @returns true if a server that this one needs is down, starting or out of resources, so that a client may retry. */
export function isOutage(thrown: unknown): boolean {
  let error = thrown;
  for (let depth = 0; error instanceof Error && depth < MAX_DEPTH; depth++) {
    // Objection's models wrap the errors of the database.
    if ('nativeError' in error) error = error.nativeError;
    else if (indicatesOutage(error)) return true;
    else error = error.cause;
  }
  return false;
}

function indicatesOutage(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'KnexTimeoutError' || CODES.test(code)) return true;
  // The message of a failed statement may hold anybody's text. SQLSTATE 28 rejects connections, such as those without TLS.
  const isOfStatement = /^[0-9A-Z]{5}$/.test(code) && !/^(?:28|E)/.test(code);
  return !isOfStatement && (MESSAGES.test(error.message) || isTlsFailure(error));
}
