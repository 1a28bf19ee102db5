import { randomUUID } from 'node:crypto';
import { IncomingMessage, METHODS, ServerResponse } from 'node:http';
import { BlockList, isIP, Socket } from 'node:net';
import type Router from '@koa/router';
import type Koa from 'koa';
import helmet from 'koa-helmet';
import type { Locale, TrustedProxies } from '../core/config';
import type { Events } from '../core/events';
import { runInContext } from '../core/execution-context';
import { toError, valueWithin } from '../support/async';
import { ProblemError } from './context';
import type { HealthOptions, ReadinessCheck, SecurityHeaders } from './options';
import { onRequestEnd } from './server';

/** Timeout of one check, ms. */
const ANSWER_MS = 1000;
const HEALTH_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Answers `/health` (the process is alive) and `/ready` (it can serve). It runs before the limiter: probes never wait.
 */
export function health({
  appName,
  readiness,
  isLeaving,
  degraded = () => [],
  jobs,
  unready,
  probes: { health: alivePath = '/health', ready: readyPath = '/ready' } = {},
}: HealthOptions): Koa.Middleware {
  // Concurrent probes share one round of checks.
  let round: Promise<Failing[]> | undefined;
  const failing = () => {
    round ??= failingOf(readiness).finally(() => {
      round = undefined;
    });
    return round;
  };

  return (ctx, next) => (ctx.path === alivePath || ctx.path === readyPath ? answer(ctx) : next());

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
    const asksReady = ctx.path === readyPath;
    const away = asksReady ? await assertReady() : [];
    const missing = asksReady ? await degraded() : [];
    const standstill = asksReady ? standstillOfJobs() : undefined;
    // The status stays 200: a router must not take the web out of service because jobs are stalled, or Redis is away.
    const broken = [...(standstill ? ['jobs'] : []), ...[...away, ...missing].map(({ name }) => name)];
    const reasons = [standstill?.reason ?? [], away.length > 0 ? await causesOf(away) : []].flat();
    const advice = missing.flatMap(({ advice: text }) => text ?? []);
    ctx.body = {
      status: broken.length > 0 ? 'degraded' : 'ok',
      app: appName,
      ...(broken.length > 0 && { broken }),
      ...(advice.length > 0 && { advice }),
      ...standstill,
      ...(reasons.length > 0 && { reason: reasons.join('; ') }),
    };
  }

  function standstillOfJobs():
    | { readonly jobs: 'stalled'; readonly reason: string; readonly oldestDueSeconds?: number }
    | undefined {
    const { running = true, stalled = null, oldestDueS = null } = jobs?.() ?? {};
    const reason = stalled ?? (running ? undefined : 'the job processor is not running');
    if (reason === undefined) return undefined;
    return { jobs: 'stalled', reason, ...(oldestDueS !== null && { oldestDueSeconds: oldestDueS }) };
  }

  /** @returns the optional services that do not answer. */
  async function assertReady(): Promise<readonly Failing[]> {
    if (isLeaving()) throw notReady('This process is shutting down.', []);
    const all = await failing();
    const down = all.filter(({ isOptional }) => !isOptional);
    if (down.length > 0) {
      const names = down.map(({ name }) => name);
      throw notReady(`Not answering: ${names.join(', ')}.`, names, await causesOf(down));
    }
    const reason = await unready?.();
    if (reason !== undefined) throw notReady(reason, ['start']);
    return all;
  }
}

function notReady(detail: string, down: readonly string[], reason?: string): ProblemError {
  const extensions = { down, ...(reason !== undefined && { reason }) };
  return new ProblemError(503, { detail, extensions, headers: { 'Retry-After': '2' } });
}

interface Failing {
  readonly name: string;
  /** undefined if there was no answer in time. */
  readonly error: Error | undefined;
  readonly isOptional: boolean;
}

async function failingOf(checks: readonly ReadinessCheck[]): Promise<Failing[]> {
  const found = await Promise.all(checks.map((one) => failureOf(one)));
  return found.filter((one) => one !== null);
}

function failureOf({ name, check, isOptional = false }: ReadinessCheck): Promise<Failing | null> {
  const answer = async (): Promise<Failing | null> => {
    try {
      await check();
      return null;
    } catch (thrown) {
      return { name, error: toError(thrown), isOptional };
    }
  };
  return valueWithin(answer(), ANSWER_MS, { name, error: undefined, isOptional });
}

/** A server's own message is left out, since it may name users and hosts. */
async function causesOf(down: readonly Failing[]): Promise<string> {
  // Loaded on demand, since it is needed only when a check fails.
  const { causeOf, causeText } = await import('../core/failure-cause');
  return down.map(({ name, error }) => `${name}: ${causeText(error ? causeOf(error) : 'noAnswer')}`).join('; ');
}

/** Allows nothing that could break a log line or a header. */
const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/;

/**
 * Sets the request id and the locale for log lines, responses and the jobs that the request enqueues.
 * @param offered the locales of the app; the first is used for a client that prefers none of them.
 */
export function requestContext(offered: readonly [Locale, ...Locale[]]): Koa.Middleware {
  return (ctx, next) => {
    const given = ctx.get('X-Request-Id');
    ctx.requestId = WELL_FORMED.test(given) ? given : randomUUID();
    ctx.locale = (ctx.get('Accept-Language') && ctx.acceptsLanguages([...offered])) || offered[0];
    ctx.queuedMs = 0;
    ctx.internal = false;
    ctx.ops = undefined;
    ctx.shedReason = null;
    ctx.set('X-Request-Id', ctx.requestId);
    return runInContext({ requestId: ctx.requestId, locale: ctx.locale }, next);
  };
}

/**
 * Sets security headers by which pages may use only what this server itself serves, and nothing inline.
 * @param given the app's own headers, for all paths except the operators'.
 */
export function securityHeaders(given?: SecurityHeaders): Koa.Middleware {
  // The headers are the same for every response, so helmet runs only once. This saves each request a dozen calls.
  const standard = headersOf(helmet(OPTIONS));
  // Helmet's options are a union of 256 types; type-checking a spread of two of these would dominate the build time.
  const own = given === false ? [] : given && headersOf(helmet({ ...(OPTIONS as object), ...given }));
  return (ctx, next) => {
    const headers = own && !/^\/ops(\/|$)/.test(ctx.path) ? own : standard;
    for (const [name, value] of headers) ctx.res.setHeader(name, value);
    return next();
  };
}

type Header = readonly [name: string, value: number | string | readonly string[]];

const OPTIONS: NonNullable<Parameters<typeof helmet>[0]> = {
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
  // Browsers obey this header over https only. Subdomains are left out, since they may belong to somebody else.
  strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: false },
};

/** @returns the headers that the middleware sets on every response. */
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

/** Rejects broken percent-encoding, which would otherwise reach the routes undecoded. */
export const wellFormedPath: Koa.Middleware = (ctx, next) => {
  if (!ctx.path.includes('%')) return next();
  try {
    decodeURIComponent(ctx.path);
  } catch {
    throw new ProblemError(400, { detail: 'The path is not well-formed: its percent-encoding is broken.' });
  }
  return next();
};

/** Time after which the router in front of us has given up on the request and answered 503 itself, ms (Heroku: H12). */
export const ROUTER_PATIENCE_MS = 30_000;
/** A difference larger than this comes from a wrong clock, not from a wait, ms. */
const BELIEVABLE_MS = 600_000;

/**
 * Time since the router accepted the request, ms, by its `X-Request-Start`: milliseconds since 1970 (Heroku), or `t=`
 * and seconds (nginx). 0 if there is no header, or none that is plausible.
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

/** Sheds a request that the router has already answered, so that its slot goes to one that a client still waits for. */
export function shedStale(): Koa.Middleware {
  return (ctx, next) => {
    const waited = waitedSinceRouter(ctx.get('X-Request-Start'));
    if (waited <= ROUTER_PATIENCE_MS) return next();
    ctx.shedReason = 'stale';
    const detail = `The request was ${Math.round(waited / 1000)} s old when it arrived: its router has given up on it.`;
    throw new ProblemError(503, { detail, headers: { 'Retry-After': '2' } });
  };
}

/** nginx's code for a client that disconnected before the response was complete. */
const CLIENT_LEFT = 499;

/** Emits `request.finished` once per request, however it ends. */
export function requestEvents(events: Events): Koa.Middleware {
  return (ctx, next) => {
    const startedAt = performance.now();
    onRequestEnd(ctx.res, () => {
      events.emit('request.finished', {
        method: ctx.method,
        // `path` excludes the query, which may carry secrets.
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

/** Headers set by proxies. Any other peer may have forged them. */
const PROXY_HEADERS = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-start'] as const;
const FORWARDING = [...PROXY_HEADERS.slice(0, 3), 'forwarded', 'x-real-ip', 'via'];

/**
 * Finds the client's address behind trusted proxies, and removes proxy headers from requests of other peers, so that no
 * later middleware has to decide whom to trust.
 * @param onUntrustedProxy called for each removed header with the peer's address, which is empty for a unix socket.
 */
export function proxies(trust: TrustedProxies, onUntrustedProxy?: (peer: string) => void): Koa.Middleware {
  const isTrusted = 'hops' in trust ? undefined : matcher(trust.addresses);
  return (ctx, next) => {
    const { headers, socket } = ctx.req;
    const peer = asIPv4(socket.remoteAddress ?? '');
    ctx.forwarded = FORWARDING.some((name) => headers[name] !== undefined);
    // Only a proxy on this machine connects through a unix socket, so its empty address is trusted.
    const believed = isTrusted ? peer === '' || isTrusted(peer) : 'hops' in trust && trust.hops > 0;
    for (const name of PROXY_HEADERS) {
      if (believed || headers[name] === undefined) continue;
      delete headers[name];
      onUntrustedProxy?.(peer);
    }
    const forwarded = ctx
      .get('X-Forwarded-For')
      .split(',')
      .map((address) => asIPv4(address.trim()));
    ctx.request.ip = (isTrusted ? beyond(forwarded, isTrusted) : atHop(forwarded, trust)) ?? peer;
    return next();
  };
}

/** Each proxy appends its peer, so the client is the last address that is not a trusted proxy, else the first one. */
function beyond(forwarded: readonly string[], isTrusted: (address: string) => boolean): string | undefined {
  const known = forwarded.slice(forwarded.findLastIndex((address) => isIP(address) === 0) + 1);
  return known.findLast((address) => !isTrusted(address)) ?? known[0];
}

function atHop(forwarded: readonly string[], trust: TrustedProxies): string | undefined {
  const address = 'hops' in trust && trust.hops > 0 ? forwarded[Math.max(0, forwarded.length - trust.hops)] : undefined;
  return address !== undefined && isIP(address) !== 0 ? address : undefined;
}

function matcher(addresses: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const one of addresses) {
    const [address = '', bits] = one.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Reduces an IPv4-mapped IPv6 address to IPv4. */
function asIPv4(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** RFC 3986: a name, an IPv4 address, or an IP literal in brackets; and a port. */
const AUTHORITY = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::\d{0,5})?$/i;
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/**
 * Enforces those rules of RFC 9112 on the Host header and on transfer codings that Node's parser does not. Two servers
 * that interpret one of these differently can be attacked by request smuggling.
 */
export const requestTarget: Koa.Middleware = (ctx, next) => {
  const { req } = ctx;
  const coding = req.headers['transfer-encoding'];
  // 400 rather than 501: clients should not be able to cause server errors.
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked')
    throw malformed('The only supported transfer coding is chunked.');
  const host = hostOf(req);
  if (host !== undefined && !AUTHORITY.test(host)) throw malformed('The Host header is not a single host.');
  const absolute = ABSOLUTE.exec(req.url ?? '');
  if (absolute) {
    const authority = absolute[1] ?? '';
    if (!AUTHORITY.test(authority)) throw malformed('The authority of the target is not well-formed.');
    req.headers.host = authority;
  }
  return next();
};

/** @returns the value of Host; all values joined if there are several; undefined if there is none, as in HTTP/1.0. */
function hostOf(req: IncomingMessage): string | undefined {
  const { rawHeaders } = req;
  let host: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length !== 4 || name.toLowerCase() !== 'host') continue;
    const value = rawHeaders[index + 1] ?? '';
    host = host === undefined ? value : `${host} ${value}`;
  }
  return host;
}

function malformed(detail: string): ProblemError {
  return new ProblemError(400, { detail, headers: { Connection: 'close' } });
}

/**
 * Turns what is still an empty 404 or 405 once all middleware has run into a problem. It runs outside the app's own
 * middleware, which may fill them with pages of its own.
 */
export const explainMissing: Koa.Middleware = (ctx, next) => next().then(() => explain(ctx));

/** @throws ProblemError for an empty 404 or 405. */
function explain(ctx: Koa.Context): void {
  const { status, body } = ctx;
  if ((status !== 404 && status !== 405) || (body !== undefined && body !== null)) return;
  if (ctx.respond === false || ctx.headerSent) return;
  if (status === 405)
    throw new ProblemError(405, { detail: `${ctx.method} is not allowed here; ${ctx.response.get('Allow')} are.` });
  // A route that leaves the response empty says that the resource does not exist.
  throw new ProblemError(404, ctx._matchedRoute === undefined ? { detail: 'There is nothing at this address.' } : {});
}

/**
 * Answers OPTIONS, and 405 with Allow where the path has routes for other methods only. A method that no route could
 * have also gets 405, not 501: clients should not be able to cause server errors, which routers count.
 */
export function allowedMethods(router: Router): Koa.Middleware {
  return (ctx, next) => next().then(() => answerOthers(ctx, router));
}

function answerOthers(ctx: Koa.Context, router: Router): void {
  if (ctx.status !== 404 || (ctx.body !== undefined && ctx.body !== null) || ctx.respond === false) return;
  if (ctx.method === 'OPTIONS' && ctx.path === '*') {
    ctx.status = 204;
    return;
  }
  const methods = new Set(router.match(ctx.path, 'GET').path.flatMap((layer) => layer.methods));
  const allowed = METHODS.filter((method) => methods.has(method));
  if (allowed.length === 0 || allowed.includes(ctx.method)) return;
  ctx.status = ctx.method === 'OPTIONS' ? 204 : 405;
  ctx.set('Allow', [...allowed, 'OPTIONS'].join(', '));
}
