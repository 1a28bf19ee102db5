import type Koa from 'koa';
import { ProblemError } from './problem';

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
    ctx.refused = 'stale';
    const detail = `The request was ${Math.round(waited / 1000)} s old when it arrived: its caller has been told 503 already.`;
    throw new ProblemError(503, { detail, headers: { 'Retry-After': '2' } });
  };
}
