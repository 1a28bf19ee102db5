import type Koa from 'koa';
import { bufferBody } from './body-buffer';
import { askForBody, readBody } from './body-reader';
import { parseJson } from './json';
import { ProblemError } from './problem';
import { hasEnded, onRequestEnd } from './request-end';

/** Bytes of bodies held for requests that wait for a slot, in one process. */
const HELD_LIMIT = 16_000_000;
/** How much of a body that is not JSON is taken in before its request asks for a slot, bytes. */
const BUFFERED_LIMIT = 1_000_000;
const TYPES = ['application/json', 'application/*+json'];

/**
 * Two middlewares around the limit. `receive` takes the bytes in before a slot is given, as Puma's reactor does, so
 * that slow senders cost no slots. `parse` makes a value of them once there is one: waiting requests stay small, since
 * a value can be a hundred times its text. Bodies of another type are left unread for the route, which may have a reader
 * of its own: of those, too, the bytes are taken in before, up to a bound; what is larger comes in while the slot is held.
 */
export function jsonBody(): { readonly receive: Koa.Middleware; readonly parse: Koa.Middleware } {
  const received = new WeakMap<Koa.Request, Buffer>();
  let held = 0;

  // null: there is no body.
  const receive: Koa.Middleware = (ctx, next) => {
    const type = ctx.is(TYPES);
    if (type === null) return next();
    return type === false ? bufferOther(ctx, next) : receiveBody(ctx, next);
  };

  async function bufferOther(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    askForBody(ctx.res);
    if (held < HELD_LIMIT) {
      const size = await bufferBody(ctx.req, BUFFERED_LIMIT);
      if (hasEnded(ctx.res)) return;
      hold(ctx, size);
    }
    await next();
  }

  function hold(ctx: Koa.Context, size: number): void {
    held += size;
    onRequestEnd(ctx.res, () => {
      held -= size;
    });
  }

  async function receiveBody(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    if (ctx.get('Content-Encoding') !== '' && ctx.get('Content-Encoding') !== 'identity') {
      throw new ProblemError(415, {
        detail: 'Send the body uncompressed.',
        headers: { 'Accept-Encoding': 'identity' },
      });
    }
    if (held >= HELD_LIMIT) throw new ProblemError(503, { headers: { 'Retry-After': '2' } });
    const bytes = await readBody(ctx.res);
    if (hasEnded(ctx.res)) return;
    hold(ctx, bytes.length);
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
