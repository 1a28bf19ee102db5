import type Koa from 'koa';
import type { RequestLimit } from './limit';
import { ProblemError } from './problem';

const REASONS = {
  full: 'Too many requests are waiting.',
  timeout: 'The request waited too long for its turn.',
} as const;

/** Lets a request through once it has a slot; turns it away with 503 when it cannot have one in time. */
export function limited(limit: RequestLimit): Koa.Middleware {
  return async function limitRequests(ctx, next) {
    const askedAt = performance.now();
    const { method, path, requestId } = ctx;
    const admission = await limit.enter({ method, path, requestId }, ctx.res);
    ctx.queuedMs = performance.now() - askedAt;
    if (admission.outcome === 'gone') return;
    if (admission.outcome !== 'admitted') {
      ctx.refused = admission.outcome;
      throw new ProblemError(503, { detail: REASONS[admission.outcome], headers: { 'Retry-After': '2' } });
    }
    ctx.releaseSlot = admission.release;
    await next();
  };
}
