import type Koa from 'koa';
import type { Admission, RequestLimit } from './limit';
import { ProblemError } from './problem';
import { answersNow, itsTurn } from './request-end';

const REASONS = {
  full: 'Too many requests are waiting.',
  timeout: 'The request waited too long for its turn.',
} as const;

/**
 * Lets a request through once it has a slot; turns it away with 503 when it cannot have one in time. One that was
 * pipelined asks for its slot when those before it on its connection are answered: until then it could only hold one,
 * since nothing of its answer can be sent, and those before it might wait for that very slot.
 */
export function limited(limit: RequestLimit): Koa.Middleware {
  return function limitRequests(ctx, next) {
    return answersNow(ctx.res) ? enter(ctx, next) : enterInTurn(ctx, next);
  };

  async function enterInTurn(ctx: Koa.Context, next: Koa.Next): Promise<unknown> {
    return (await itsTurn(ctx.res)) === 'gone' ? undefined : enter(ctx, next);
  }

  function enter(ctx: Koa.Context, next: Koa.Next): Promise<unknown> | undefined {
    const { method, path, requestId } = ctx;
    const admission = limit.enter({ method, path, requestId, startedAt: Date.now() }, ctx.res);
    // Mostly there is room, and nothing to wait for.
    return admission instanceof Promise ? wait(ctx, admission, next) : goOn(ctx, admission, next);
  }
}

async function wait(ctx: Koa.Context, turn: Promise<Admission>, next: Koa.Next): Promise<unknown> {
  const askedAt = performance.now();
  const admission = await turn;
  ctx.queuedMs = performance.now() - askedAt;
  return goOn(ctx, admission, next);
}

function goOn(ctx: Koa.Context, admission: Admission, next: Koa.Next): Promise<unknown> | undefined {
  if (admission.outcome === 'gone') return undefined;
  if (admission.outcome === 'admitted') {
    ctx.releaseSlot = admission.release;
    return next();
  }
  ctx.refused = admission.outcome;
  throw new ProblemError(503, { detail: REASONS[admission.outcome], headers: { 'Retry-After': '2' } });
}
