import { randomUUID } from 'node:crypto';
import { IncomingMessage, METHODS, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type Router from '@koa/router';
import type Koa from 'koa';
import helmet from 'koa-helmet';
import { isLocale, LOCALES, type Locale } from '../core/config';
import type { Events } from '../core/events';
import { runInContext } from '../core/execution-context';
import { ProblemError } from './problem';
import { onRequestEnd } from './response-end';

/** Something the process cannot serve without. `check` rejects when it does not answer. */
export interface ReadinessCheck {
  readonly name: string;
  readonly check: () => Promise<unknown>;
}

/** Something that does not work, and what an operator can do about it where it does not mend itself. */
export interface Degradation {
  readonly name: string;
  readonly advice?: string;
}

export interface HealthOptions {
  readonly appName: string;
  readonly readiness: readonly ReadinessCheck[];
  /** What does not work while the process can serve all the same. Default: nothing. */
  readonly degraded?: () => readonly Degradation[] | Promise<readonly Degradation[]>;
  /** True once the process has been asked to go. */
  readonly isLeaving: () => boolean;
}

/** How long a check may take, ms. */
const ANSWER_MS = 1000;
const HEALTH_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** `/health`: the process is alive. `/ready`: it can serve. Both stand before the limit, so that they never wait. */
export function health({ appName, readiness, isLeaving, degraded = () => [] }: HealthOptions): Koa.Middleware {
  // Any number of probes at once cost one round of checks.
  let round: Promise<string[]> | undefined;
  const failing = () => {
    round ??= namesOfFailing(readiness).finally(() => {
      round = undefined;
    });
    return round;
  };

  return (ctx, next) => (ctx.path === '/health' || ctx.path === '/ready' ? answer(ctx) : next());

  async function answer(ctx: Koa.Context): Promise<void> {
    ctx.internal = true;
    const headers = { Allow: HEALTH_METHODS.join(', ') };
    if (!HEALTH_METHODS.includes(ctx.method)) throw new ProblemError(405, { headers });
    ctx.set('Cache-Control', 'no-store');
    if (ctx.method === 'OPTIONS') {
      ctx.set(headers);
      ctx.status = 204;
      return;
    }
    if (ctx.path === '/ready') await assertReady();
    const missing = ctx.path === '/ready' ? await degraded() : [];
    const broken = missing.map(({ name }) => name);
    const advice = missing.flatMap(({ advice: text }) => text ?? []);
    ctx.body = {
      status: broken.length > 0 ? 'degraded' : 'ok',
      app: appName,
      ...(broken.length > 0 && { broken }),
      ...(advice.length > 0 && { advice }),
    };
  }

  async function assertReady(): Promise<void> {
    if (isLeaving()) throw notReady('This process is shutting down.', []);
    const down = await failing();
    if (down.length > 0) throw notReady(`Not answering: ${down.join(', ')}.`, down);
  }
}

function notReady(detail: string, down: readonly string[]): ProblemError {
  return new ProblemError(503, { detail, extensions: { down }, headers: { 'Retry-After': '2' } });
}

async function namesOfFailing(checks: readonly ReadinessCheck[]): Promise<string[]> {
  const answers = await Promise.all(checks.map(({ check }) => answersInTime(check)));
  return checks.filter((_check, index) => !answers[index]).map(({ name }) => name);
}

async function answersInTime(check: () => Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ANSWER_MS);
  });
  const answer = (async () => {
    await check();
    return true;
  })().catch(() => false);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Nothing in it can break a log line or a header. */
const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/;

/** Names the request and its locale, for log lines, answers and the jobs it enqueues. */
export function requestContext(defaultLocale: Locale): Koa.Middleware {
  return (ctx, next) => {
    const given = ctx.get('X-Request-Id');
    ctx.requestId = WELL_FORMED.test(given) ? given : randomUUID();
    ctx.locale = preferredLocale(ctx, defaultLocale);
    ctx.queuedMs = 0;
    ctx.internal = false;
    ctx.ops = undefined;
    ctx.shedReason = null;
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

/** Pages may use what this server itself serves, and nothing inline. */
export function securityHeaders(): Koa.Middleware {
  // The same for every answer, so helmet is asked once: a dozen functions less for each request.
  const headers = headersOf(helmet(OPTIONS));
  return (ctx, next) => {
    for (const [name, value] of headers) ctx.res.setHeader(name, value);
    return next();
  };
}

type Header = readonly [name: string, value: number | string | readonly string[]];

const OPTIONS: Parameters<typeof helmet>[0] = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      'default-src': ["'none'"],
      'base-uri': ["'none'"],
      'connect-src': ["'self'"],
      'font-src': ["'self'"],
      'form-action': ["'self'"],
      'frame-ancestors': ["'none'"],
      'img-src': ["'self'"],
      'manifest-src': ["'self'"],
      'script-src': ["'self'"],
      'style-src': ["'self'"],
    },
  },
  xFrameOptions: { action: 'deny' },
  // Browsers heed it over https only. Not for subdomains: those may be somebody else's.
  strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: false },
};

/** What the middleware sets on an answer, to whatever request. */
function headersOf(middleware: Koa.Middleware): readonly Header[] {
  const headers: Header[] = [];
  const req = new IncomingMessage(new Socket());
  const res = new ServerResponse(req);
  res.setHeader = (name, value) => {
    headers.push([name, value]);
    return res;
  };
  void middleware({ req, res } as Koa.ParameterizedContext, async () => undefined);
  return headers;
}

/** Broken percent-encoding would otherwise reach routes as it came. */
export const wellFormedPath: Koa.Middleware = (ctx, next) => {
  if (!ctx.path.includes('%')) return next();
  try {
    decodeURIComponent(ctx.path);
  } catch {
    throw new ProblemError(400, { detail: 'The path is not well-formed: its percent-encoding is broken.' });
  }
  return next();
};

/** After this long the router in front has given up on the request and told its caller so, ms (Heroku: H12). */
export const ROUTER_PATIENCE_MS = 30_000;
/** A header further off than this is a wrong clock, not a wait, ms. */
const BELIEVABLE_MS = 600_000;

/**
 * How long a request has been under way since the router took it, by its `X-Request-Start`: milliseconds since 1970 (as
 * Heroku writes it), or `t=` and seconds (as nginx does). 0 when there is none, or none to be believed.
 */
export function waitedSinceRouter(header: string, now: number = Date.now()): number {
  if (header === '') return 0;
  const match = /^(t=)?(\d{1,16}(?:\.\d{1,9})?)$/.exec(header.trim());
  if (!match) return 0;
  const value = Number(match[2]);
  // Some proxies write microseconds.
  const startedAt = match[2]?.includes('.') || value < 1e11 ? value * 1000 : value > 1e14 ? value / 1000 : value;
  const waited = now - startedAt;
  return waited > 0 && waited < BELIEVABLE_MS ? waited : 0;
}

/** A request that nobody waits for any more is not served: its slot goes to one that somebody does wait for. */
export function shedStale(): Koa.Middleware {
  return (ctx, next) => {
    const waited = waitedSinceRouter(ctx.get('X-Request-Start'));
    if (waited <= ROUTER_PATIENCE_MS) return next();
    ctx.shedReason = 'stale';
    const detail = `The request was ${Math.round(waited / 1000)} s old when it arrived: its caller has been told 503 already.`;
    throw new ProblemError(503, { detail, headers: { 'Retry-After': '2' } });
  };
}

/** nginx's code for a caller who left before the answer was out. */
const CLIENT_LEFT = 499;

/** Emits `request.finished` once per request, however it ends. */
export function requestEvents(events: Events): Koa.Middleware {
  return (ctx, next) => {
    const startedAt = performance.now();
    onRequestEnd(ctx.res, () => {
      events.emit('request.finished', {
        method: ctx.method,
        // Without the query, which may carry secrets.
        path: ctx.path,
        status: ctx.res.writableFinished ? ctx.res.statusCode : CLIENT_LEFT,
        durationMs: hundredths(performance.now() - startedAt),
        queuedMs: hundredths(ctx.queuedMs),
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

/**
 * What no route answers: 404; 405 with Allow where the path exists; and OPTIONS. A method that no route could have gets
 * 405 too, not 501: nobody from outside should be able to make errors of ours, which routers count and logs shout.
 */
export function notFound(router: Router): Koa.Middleware {
  return (ctx, next) => next().then(() => explain(ctx, router));
}

/** @throws ProblemError when the request was answered with nothing. */
function explain(ctx: Koa.Context, router: Router): void {
  if (ctx.status !== 404 || (ctx.body !== undefined && ctx.body !== null) || ctx.respond === false) return;
  if (ctx.method === 'OPTIONS' && ctx.path === '*') {
    ctx.status = 204;
    return;
  }
  const allowed = methodsOf(router, ctx.path);
  if (allowed.length === 0) throw new ProblemError(404, { detail: 'There is nothing at this address.' });
  const headers = { Allow: [...allowed, 'OPTIONS'].join(', ') };
  if (ctx.method === 'OPTIONS') {
    ctx.status = 204;
    ctx.set(headers);
    return;
  }
  // The route is there and has left the answer empty: it says there is no such thing.
  if (allowed.includes(ctx.method)) throw new ProblemError(404);
  throw new ProblemError(405, {
    detail: `${ctx.method} is not allowed here; ${headers.Allow} are.`,
    headers,
  });
}

function methodsOf(router: Router, path: string): string[] {
  const methods = new Set(router.match(path, 'GET').path.flatMap((layer) => layer.methods));
  return METHODS.filter((method) => methods.has(method));
}
