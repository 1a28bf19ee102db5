import { METHODS } from 'node:http';
import type Router from '@koa/router';
import type Koa from 'koa';
import { ProblemError } from './problem';

/**
 * What no route answers: 404; 405 with Allow where the path exists; and OPTIONS. A method that no route could have gets
 * 405 too, not 501: nobody from outside should be able to make errors of ours, which routers count and logs shout.
 */
export function unrouted(router: Router): Koa.Middleware {
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
