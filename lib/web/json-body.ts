import type Koa from 'koa';
import { readBody } from './body-reader';
import { parseJson } from './json';
import { ProblemError } from './problem';
import { hasEnded, onRequestEnd } from './request-end';

/** Bytes of bodies held for requests that wait for a slot, in one process. */
const HELD_LIMIT = 16_000_000;
const TYPES = ['application/json', 'application/*+json'];

/**
 * Two middlewares around the limit. `receive` takes the bytes in before a slot is given, as Puma's reactor does, so
 * that slow senders cost no slots. `parse` makes a value of them once there is one: waiting requests stay small, since
 * a value can be a hundred times its text. Bodies of another type are left unread for the route.
 */
export function jsonBody(): { readonly receive: Koa.Middleware; readonly parse: Koa.Middleware } {
  const received = new WeakMap<Koa.Request, Buffer>();
  let held = 0;

  // null: there is no body.
  const receive: Koa.Middleware = (ctx, next) => (ctx.is(TYPES) ? receiveBody(ctx, next) : next());

  async function receiveBody(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    if (ctx.get('Content-Encoding') !== '' && ctx.get('Content-Encoding') !== 'identity') {
      throw new ProblemError(415, {
        detail: 'Send the body uncompressed.',
        headers: { 'Accept-Encoding': 'identity' },
      });
    }
    if (held >= HELD_LIMIT) throw new ProblemError(503, { headers: { 'Retry-After': '2' } });
    const bytes = await readBody(ctx.req);
    if (hasEnded(ctx.res)) return;
    held += bytes.length;
    onRequestEnd(ctx.res, () => {
      held -= bytes.length;
    });
    received.set(ctx.request, bytes);
    await next();
  }

  const parse: Koa.Middleware = (ctx, next) => {
    const bytes = received.get(ctx.request);
    if (bytes) ctx.request.body = parseJson(bytes);
    return next();
  };

  return { receive, parse };
}
