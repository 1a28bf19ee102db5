import { METHODS } from 'node:http';
import type Router from '@koa/router';
import type Koa from 'koa';
import { ProblemError } from './problem';

/** Methods that mean something to a resource somewhere; any other is not implemented at all. */
const KNOWN = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** What no route answers: 404; 405 or 501 with Allow where the path exists; and OPTIONS. */
export function unrouted(router: Router): Koa.Middleware {
  return async (ctx, next) => {
    await next();
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
    if (!KNOWN.includes(ctx.method)) throw new ProblemError(501, { headers });
    // The route is there and has left the answer empty: it says there is no such thing.
    if (allowed.includes(ctx.method)) throw new ProblemError(404);
    throw new ProblemError(405, {
      detail: `${ctx.method} is not allowed here; ${headers.Allow} are.`,
      headers,
    });
  };
}

function methodsOf(router: Router, path: string): string[] {
  const methods = new Set(router.match(path, 'GET').path.flatMap((layer) => layer.methods));
  return METHODS.filter((method) => methods.has(method));
}
