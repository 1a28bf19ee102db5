import type Koa from 'koa';
import { lazy } from '../support/lazy';
import { isSameSecret } from '../support/same-secret';
import { ConcurrencyLimiter, limitConcurrency } from '../web/concurrency-limiter';
import { ProblemError } from '../web/context';
import { accessMode, isFromHere } from './ui/access-mode';
import type { OpsOptions } from './ui/page-types';

const INBOX_PATH = '/ops/mail/inbox';
/**
 * The pages have a concurrency limit of their own. They take no slot from the app, and still answer when all of its slots are
 * taken, which is when operators need them. Forms and event streams release their slot once they are read.
 */
const LIMIT = { maxThreads: 3, backlog: 32, queueTimeoutMs: 10_000 };

/** Serves /ops. The modules of the pages are loaded with the first request for one, which saves memory until then. */
export function opsPages(options: OpsOptions): Koa.Middleware {
  const metrics = metricsEndpoint(options);
  const { config } = options;
  const mode = accessMode(config);
  const { authorize } = options.additions ?? {};
  if (mode === 'absent' && !authorize) return metrics;
  const limit = limitConcurrency(new ConcurrencyLimiter(LIMIT));
  const load = lazy(async () => (await import('./site')).createSite(options));
  const links = { tree: '/ops', inbox: config.mail.delivery === 'file' ? INBOX_PATH : null };
  return (ctx, next) => {
    if (!/^\/ops(\.json|\/|$)/.test(ctx.path)) {
      if (mode !== 'token' || isFromHere(ctx)) ctx.ops = links;
      return next();
    }
    if (ctx.path === METRICS_PATH) return metrics(ctx, next);
    ctx.internal = true;
    return limit(ctx, async () => (await load())(ctx, next));
  };
}

export const METRICS_PATH = '/ops/metrics';

/** Content type of the text format, which every version of Prometheus reads. */
const TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Serves Prometheus metrics at /ops/metrics to requests with METRICS_TOKEN. Without that setting the token of the pages opens
 * it, on this machine only. Where there is no such token either, the address does not exist. The modules are loaded with the
 * first scrape.
 */
export function metricsEndpoint(options: OpsOptions): Koa.Middleware {
  const { metricsToken, opsToken } = options.config;
  const token = metricsToken ?? opsToken;
  if (token === null) return (_ctx, next) => next();
  const load = lazy(async () => {
    const { MetricsPage } = await import('./metrics/scrape');
    return new MetricsPage(options);
  });
  return async (ctx, next) => {
    if (ctx.path !== METRICS_PATH) return next();
    ctx.internal = true;
    if (metricsToken === null) assertFromHere(ctx);
    assertToken(ctx, token, metricsToken === null ? 'OPS_TOKEN, or of the link in the log' : 'METRICS_TOKEN');
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') throw new ProblemError(405, { headers: { Allow: 'GET, HEAD' } });
    ctx.set('Cache-Control', 'no-store');
    ctx.body = await (await load()).text();
    ctx.set('Content-Type', TYPE);
  };
}

/** @param setting says where the token is to be found. */
function assertToken(ctx: Koa.Context, token: string, setting: string): void {
  if (isSameSecret(ctx.get('Authorization').replace(/^bearer /i, ''), token)) return;
  throw new ProblemError(401, {
    detail: `Send the token of ${setting}, as "Authorization: Bearer …".`,
    headers: { 'WWW-Authenticate': 'Bearer realm="metrics"' },
  });
}

function assertFromHere(ctx: Koa.Context): void {
  if (isFromHere(ctx)) return;
  throw new ProblemError(403, { detail: 'Without METRICS_TOKEN, metrics are served to this machine only.' });
}
