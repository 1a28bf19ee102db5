import type Koa from 'koa';
import { ProblemError } from './context';

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
