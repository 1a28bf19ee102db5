import { createHash } from 'node:crypto';
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import type Koa from 'koa';
import type { Locale } from '../core/config';
import type { Events } from '../core/events';
import { isTlsFailure } from '../core/tls';
import { toError } from '../support/async';
import { ProblemError } from './context';
import { hasEnded } from './server';

const TYPE = 'application/problem+json; charset=utf-8';

/**
 * Answers everything that is thrown further in with a problem document, or with a page in a browser. An unexpected
 * error is reported as `request.error` and answered with 500.
 */
export function handleErrors(events: Events): Koa.Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      if (hasEnded(ctx.res)) return;
      const answer = toProblem(thrown);
      if (answer.status >= 500 && answer !== thrown) report(events, ctx, thrown);
      forgetIntentions(ctx);
      ctx.status = answer.status;
      ctx.vary('Accept, Accept-Language');
      const { body, headers } = represent(answer, ctx);
      ctx.set({ ...answer.options.headers, ...headers });
      ctx.body = body;
    }
  };
}

/**
 * Replaces Koa's handling of errors that no middleware can catch: a stream that breaks while it is being sent, a body
 * that cannot be serialized. Once the head is out, the connection is cut, so that the caller does not take half a
 * response for a whole one.
 */
export function handleLateErrors(app: Koa, events: Events): void {
  const reported = new WeakSet<Error>();
  app.on('error', () => undefined);
  app.context.onerror = function onerror(this: Koa.Context, thrown: unknown) {
    const { res } = this;
    // Koa also calls this without an error, when all went well.
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
    const { body, headers } = represent(answer, this);
    forgetIntentions(this);
    res.statusCode = answer.status;
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    res.setHeader('Content-Length', Buffer.byteLength(body));
    res.end(this.method === 'HEAD' ? undefined : body);
  };
}

/**
 * Browsers ask for HTML by name; programs and `curl` accept anything and get JSON, and so do addresses with `.json`.
 */
function represent(
  answer: ProblemError,
  ctx: Pick<Koa.Context, 'accepts' | 'locale' | 'originalUrl' | 'requestId'>,
): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  const html = ctx.accepts('json', 'html') === 'html' && !/\.json(\?|$)/.test(ctx.originalUrl);
  if (!html) return { body: JSON.stringify(answer.toDocument(ctx.requestId)), headers: { 'Content-Type': TYPE } };
  return {
    body: problemPage(answer, ctx.locale, ctx.requestId),
    headers: { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': PROBLEM_PAGE_POLICY },
  };
}

/** The caller left or sent invalid HTTP, which is no error of this server. */
function isOfConnection(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP_REQUEST_TIMEOUT|HPE_.*)$/.test(
    code,
  );
}

/** Removes the headers of the response that is replaced. */
function forgetIntentions(ctx: Pick<Koa.Context, 'remove'>): void {
  for (const name of ['Cache-Control', 'Content-Encoding', 'ETag', 'Last-Modified', 'Location']) ctx.remove(name);
}

/**
 * Problems and the statuses of Koa's `ctx.throw` and `ctx.assert` are kept; an outage is a 503, the rest a bare 500.
 */
function toProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  if (thrown instanceof Error && 'expose' in thrown && 'status' in thrown && typeof thrown.status === 'number') {
    const { status, message } = thrown;
    const headers = 'headers' in thrown ? sendable(thrown.headers) : {};
    if (status >= 400 && status <= 599)
      return new ProblemError(status, { headers, ...(thrown.expose ? { detail: message } : {}) });
  }
  if (isOutage(thrown)) return new ProblemError(503, { headers: { 'Retry-After': '2' } });
  const { uploadProblem } = require('./upload-errors') as typeof import('./upload-errors');
  return uploadProblem(thrown) ?? new ProblemError(500);
}

/** The headers of an error that a response can carry. */
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

/**
 * Codes of the network, and of Postgres: class 08 (connection exception), class 53 (insufficient resources), shutdown
 * and startup (57P01 to 57P03), and a standby that takes no writes (25006).
 */
const CODES =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|08\w{3}|53\w{3}|57P0[123]|25006)$/;
/** Messages of connections that broke or were never made, which have no code; knex puts the statement before them. */
const MESSAGES = /(?:^| - )(?:Connection terminated|Client has encountered a connection error|timeout expired)/;
const DEEPEST = 5;

/** true if a server that this one needs is away, is starting, or is out of resources: the caller may try again. */
export function isOutage(thrown: unknown): boolean {
  let error = thrown;
  for (let depth = 0; error instanceof Error && depth < DEEPEST; depth++) {
    if (speaksOfOutage(error)) return true;
    error = beneath(error);
  }
  return false;
}

function speaksOfOutage(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return error.name === 'KnexTimeoutError' || CODES.test(code) || MESSAGES.test(error.message) || isTlsFailure(error);
}

/** Models wrap the errors of the database. */
function beneath(error: Error): unknown {
  return 'nativeError' in error ? error.nativeError : error.cause;
}

/** Title and explanation, by status or by class of status. */
type Words = Readonly<Record<number | '4xx' | '5xx', readonly [title: string, what: string]>> & {
  readonly home: string;
  readonly request: string;
};

const WORDS: Readonly<Record<Locale, Words>> = {
  en: {
    401: ['Please sign in', 'This page is shown to those who have signed in.'],
    403: ['This is not open to you', 'Your account may not see this page.'],
    404: ['There is nothing here', 'No page has this address; what it showed may be gone.'],
    405: ['That cannot be done here', 'This address takes no such request.'],
    413: ['That was too much at once', 'Send less, or in parts.'],
    503: ['Too busy at the moment', 'Try again in a few seconds.'],
    '4xx': ['That was not understood', 'The request is not one that this page takes.'],
    '5xx': ['Something went wrong', 'The fault is ours. The log has the details, under the number below.'],
    home: 'First page',
    request: 'Request',
  },
  ko: {
    401: ['로그인이 필요합니다', '로그인한 사람에게만 보이는 페이지입니다.'],
    403: ['볼 수 없는 페이지입니다', '이 페이지를 볼 권한이 없습니다.'],
    404: ['여기에는 아무것도 없습니다', '이 주소의 페이지가 없습니다. 보여 주던 것이 사라졌을 수 있습니다.'],
    405: ['여기서는 할 수 없습니다', '이 주소는 그런 요청을 받지 않습니다.'],
    413: ['한 번에 너무 많습니다', '더 적게, 또는 나누어 보내 주세요.'],
    503: ['지금은 요청이 너무 많습니다', '몇 초 뒤에 다시 시도해 주세요.'],
    '4xx': ['요청을 이해하지 못했습니다', '이 페이지가 받는 요청이 아닙니다.'],
    '5xx': ['문제가 생겼습니다', '서버에서 생긴 문제입니다. 아래 번호로 로그에서 자세한 내용을 찾을 수 있습니다.'],
    home: '첫 페이지',
    request: '요청',
  },
};

const STYLE = `:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-content:center;justify-items:start;gap:12px;padding:24px;box-sizing:border-box;color:light-dark(#17181b,#ececee);background:light-dark(#f6f6f4,#0d0e10);font:400 1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Apple SD Gothic Neo","Noto Sans KR","Malgun Gothic",sans-serif;overflow-wrap:anywhere}:lang(ko){word-break:keep-all}h1,p,ul{margin:0;max-width:36rem}p{white-space:pre-wrap}h1{font-size:1.375rem;line-height:1.25}a{display:inline-flex;align-items:center;min-height:44px;color:light-dark(#2257b8,#8cb4ff)}small{color:light-dark(#565961,#a2a6ae);font-variant-numeric:tabular-nums}`;

/** The page loads no other file, so it works whatever the app serves; its style is allowed by its digest. */
const PROBLEM_PAGE_POLICY = `default-src 'none';base-uri 'none';frame-ancestors 'none';style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;

/** A problem as an HTML page. Title and detail of the app's own routes are shown as they are. */
function problemPage({ status, options }: ProblemError, locale: Locale, requestId: string): string {
  const words = WORDS[locale];
  const [usual, what] = words[status] ?? words[status < 500 ? '4xx' : '5xx'];
  const { title = usual, detail, errors = [] } = options;
  // The framework's own details are in English.
  const shown = detail === undefined || (locale !== 'en' && words[status]) ? what : detail;
  const list = errors.map((part) => `<li>${escaped(`${part.pointer} ${part.detail}`)}</li>`).join('');
  return `<!doctype html>
<html lang="${locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p>${escaped(shown)}</p>
${list && `<ul>${list}</ul>\n`}<p><small>${status} ${STATUS_CODES[status] ?? ''} · ${words.request} ${escaped(requestId)}</small></p>
<a href="/">${words.home}</a>
</body>
</html>
`;
}

function escaped(text: string): string {
  const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (sign) => signs[sign] ?? sign);
}
