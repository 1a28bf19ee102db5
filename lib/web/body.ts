import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type Koa from 'koa';
import { deferred } from '../support/async';
import { ProblemError } from './problem';
import { hasEnded, onRequestEnd } from './response-end';

/** Largest JSON body, bytes. */
export const BODY_LIMIT = 100_000;
/** Beyond the limit this much more is read and dropped, so that the caller gets to see the answer; then it is cut off. */
const PATIENCE = 1_000_000;

/** The body's bytes. @throws ProblemError 413 as soon as they are too many; rejects when the caller leaves half-way. */
export async function readBody(response: ServerResponse, limit = BODY_LIMIT): Promise<Buffer> {
  const { req: request } = response;
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) throw tooLarge(limit, announced > limit + PATIENCE);
  askForBody(response);
  const finished = deferred<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
    else finished.reject(tooLarge(limit, false));
    if (size > limit + PATIENCE) request.destroy();
  });
  request.once('end', () => finished.resolve(Buffer.concat(chunks)));
  request.once('error', (error) => finished.reject(error));
  request.once('close', () => finished.reject(new Error('the caller left before the body was complete')));
  return finished.promise;
}

/** Callers who announce a body with `Expect: 100-continue` send it when they are told to, and not when it is refused. */
export function askForBody(response: ServerResponse): void {
  const { expect } = response.req.headers;
  if (expect !== undefined && response.req.httpVersion === '1.1') response.writeContinue();
}

function tooLarge(limit: number, close: boolean): ProblemError {
  return new ProblemError(413, {
    detail: `The body must not be larger than ${limit} bytes.`,
    ...(close ? { headers: { Connection: 'close' } } : {}),
  });
}

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

/** @throws ProblemError 400 that says what is wrong with the text; never anything else. */
export function parseJson(bytes: Buffer): unknown {
  const value = parse(decode(bytes));
  const key = unsafeKey(value);
  if (key !== undefined) throw malformed(`The key ${JSON.stringify(key)} is not allowed.`);
  return value;
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('The body is not valid UTF-8.');
  }
}

function parse(text: string): unknown {
  if (text.trim() === '') throw malformed('The body is empty.');
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('The body is not well-formed JSON.');
  }
}

/**
 * A key that code merging the value into another object would write into every object's prototype. Looks with a list of
 * its own, not by calling itself: 100 kB of brackets nest deeper than the stack reaches.
 */
function unsafeKey(value: unknown): string | undefined {
  const unseen = [value];
  while (unseen.length > 0) {
    const part = unseen.pop();
    if (typeof part !== 'object' || part === null) continue;
    for (const [key, inner] of Object.entries(part)) {
      if (key === '__proto__') return key;
      if (key === 'constructor' && typeof inner === 'object' && inner !== null && Object.hasOwn(inner, 'prototype')) {
        return key;
      }
      unseen.push(inner);
    }
  }
  return undefined;
}

function malformed(detail: string): ProblemError {
  return new ProblemError(400, { title: 'Malformed JSON', detail });
}

/**
 * Waits until a body is complete or `limit` bytes of it are there, and leaves the request as if nobody had looked: whoever
 * reads it next, by whatever means, gets the body from its first byte. Rejects when the caller leaves half-way.
 * @returns how many bytes are held for it.
 */
export async function bufferBody(request: IncomingMessage, limit: number): Promise<number> {
  // Mostly the body came with the head, and is there by now.
  await setImmediate();
  if (request.complete) return request.readableLength;
  const finished = deferred();
  const chunks: Buffer[] = [];
  let size = 0;
  const take = () => {
    // To read what is empty would be to end it, unheard by those who come after.
    if (request.readableLength > 0) {
      const chunk = request.read() as Buffer | null;
      if (chunk) {
        chunks.push(chunk);
        size += chunk.length;
      }
    }
    if (!request.complete && size < limit) return;
    stop();
    // Before the end is told, which is not before the next tick.
    if (size > 0) request.unshift(Buffer.concat(chunks));
    finished.resolve();
  };
  const leave = () => {
    stop();
    finished.reject(new Error('the caller left before the body was complete'));
  };
  const stop = () => {
    request.off('readable', take).off('error', leave).off('close', leave);
  };
  request.on('readable', take).once('error', leave).once('close', leave);
  await finished.promise;
  // Node forgets a listener to `readable` in the next tick only: until then `data` would not flow.
  await setImmediate();
  return size;
}
