import { METHODS } from 'node:http';
import type Router from '@koa/router';
import type Koa from 'koa';
import { ProblemError } from './context';

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
