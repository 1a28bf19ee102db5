import type Koa from 'koa';
import { lazily } from '../../support/lazily';
import { ProblemError } from '../../web/problem';
import { isFromHere } from '../access/loopback';
import { sameText } from '../access/session';
import type { OpsOptions } from '../options';

export const METRICS_PATH = '/ops/metrics';

/** The text format that every Prometheus reads. */
const TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Prometheus's text at /ops/metrics, for whoever has METRICS_TOKEN. Without such a setting it is not there in production,
 * and elsewhere open to this machine. What makes the text is loaded with the first scrape.
 */
export function metricsEndpoint(options: OpsOptions): Koa.Middleware {
  const { metricsToken, environment } = options.config;
  if (metricsToken === null && environment === 'production') return (_ctx, next) => next();
  const load = lazily(async () => {
    const { MetricsPage } = await import('./metrics-page');
    return new MetricsPage(options);
  });
  return async (ctx, next) => {
    if (ctx.path !== METRICS_PATH) return next();
    ctx.beside = true;
    if (metricsToken === null) assertFromHere(ctx);
    else assertToken(ctx, metricsToken);
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') throw new ProblemError(405, { headers: { Allow: 'GET, HEAD' } });
    ctx.set('Cache-Control', 'no-store');
    ctx.body = await (await load()).text();
    ctx.set('Content-Type', TYPE);
  };
}

function assertToken(ctx: Koa.Context, token: string): void {
  if (sameText(ctx.get('Authorization').replace(/^bearer /i, ''), token)) return;
  throw new ProblemError(401, {
    detail: 'Send the token of METRICS_TOKEN, as "Authorization: Bearer …".',
    headers: { 'WWW-Authenticate': 'Bearer realm="metrics"' },
  });
}

function assertFromHere(ctx: Koa.Context): void {
  if (isFromHere(ctx)) return;
  throw new ProblemError(403, { detail: 'Without METRICS_TOKEN only this machine may ask.' });
}
