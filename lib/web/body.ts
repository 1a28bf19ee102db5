import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type Koa from 'koa';
import { deferred } from '../support/deferred';
import { ProblemError } from './context';
import type { BodyParser } from './options';
import { hasEnded, onRequestEnd } from './request-end';

/** Maximum size of a body, bytes, unless BODY_LIMIT says otherwise. */
export const MAX_BODY_BYTES = 100_000;
/** Bytes beyond the limit that are read and dropped, so that the client sees the response. After that it is cut off. */
const MAX_OVERRUN_BYTES = 1_000_000;

/** Bytes of bodies that this process holds, complete or not, at most; two of the largest bodies always fit. */
const MAX_HELD_BYTES = 16_000_000;
/** What a chunk of a body takes besides its bytes, which may be a single one. */
const CHUNK_OVERHEAD = 256;
let heldByProcess = 0;

/** The bytes of one body, which count from their arrival until its request has ended, or until they are given back. */
class HeldBytes {
  private bytes = 0;

  constructor(
    response: ServerResponse,
    private readonly limit = MAX_HELD_BYTES,
  ) {
    onRequestEnd(response, () => this.giveBack());
  }

  hasRoomFor(bytes: number): boolean {
    return heldByProcess + bytes <= this.limit;
  }

  /** Counts a chunk. @returns false, and counts nothing, if the process holds too much already. */
  take(length: number): boolean {
    const bytes = length + CHUNK_OVERHEAD;
    if (!this.hasRoomFor(bytes)) return false;
    this.bytes += bytes;
    heldByProcess += bytes;
    return true;
  }

  giveBack(): void {
    heldByProcess -= this.bytes;
    this.bytes = 0;
  }
}

/**
 * Reads the body, which is held until the request has ended. Rejects if the client disconnects half-way.
 * @param limit bytes, default MAX_BODY_BYTES. @throws ProblemError 413 as soon as the body is too large, 503 as soon as this
 * process holds too many bytes of bodies.
 */
export async function readBody(response: ServerResponse, limit = MAX_BODY_BYTES): Promise<Buffer> {
  const { req: request } = response;
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) throw tooLarge(limit, announced > limit + MAX_OVERRUN_BYTES);
  const held = new HeldBytes(response, Math.max(MAX_HELD_BYTES, 2 * limit));
  if (!held.hasRoomFor(announced)) throw tooBusy();
  askForBody(response);
  const finished = deferred<Buffer>();
  let chunks: Buffer[] | undefined = [];
  let size = 0;
  const refuse = (problem: ProblemError) => {
    chunks = undefined;
    held.giveBack();
    finished.reject(problem);
  };
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit + MAX_OVERRUN_BYTES) request.destroy();
    // The rest of a refused body is read and dropped, so that the client sees the response.
    if (!chunks) return;
    if (size > limit) refuse(tooLarge(limit, false));
    else if (held.take(chunk.length)) chunks.push(chunk);
    else refuse(tooBusy());
  });
  request.once('end', () => finished.resolve(Buffer.concat(chunks ?? [])));
  request.once('error', (error) => finished.reject(error));
  request.once('close', () => finished.reject(new Error('the client disconnected before the body was complete')));
  return finished.promise;
}

function tooBusy(): ProblemError {
  return new ProblemError(503, { detail: 'Too many bodies are being sent.', headers: { 'Retry-After': '2' } });
}

/** Answers `Expect: 100-continue`, once: the client sends its body only then, and never after an error response. */
export function askForBody(response: ServerResponse): void {
  const { headers, httpVersion } = response.req;
  if (headers.expect !== undefined && httpVersion === '1.1') response.writeContinue();
  delete headers.expect;
}

function tooLarge(limit: number, close: boolean): ProblemError {
  return new ProblemError(413, {
    detail: `The body must not be larger than ${limit} bytes.`,
    ...(close ? { headers: { Connection: 'close' } } : {}),
  });
}

/** Bytes of a body other than JSON that are read before its request queues for a slot. */
const MAX_BUFFERED_BYTES = 1_000_000;
const TYPES = ['application/json', 'application/*+json'];

export interface BodyOptions {
  /** Maximum size of a JSON body, bytes. */
  readonly limit?: number;
  /** The app's own parser, which gets the first look at every body; false: the routes read all. Default: none. */
  readonly parser?: BodyParser | undefined;
}

/**
 * Two middlewares around the concurrency limiter. `receive` reads the bytes before a slot is taken, as Puma's reactor does, so
 * slow senders occupy no slots. `parse` parses them in the slot, so waiting requests stay small: a value can be a hundred times
 * the size of its text.
 *
 * Bodies of other types are left unread for the route, which may have a parser of its own. Their bytes are buffered up to
 * MAX_BUFFERED_BYTES, and less once this process holds MAX_HELD_BYTES. The rest arrives while the slot is held. The app's own
 * parser, if it has one, also runs before the slot is taken. What it leaves unread is ours.
 */
export function jsonBody({ limit = MAX_BODY_BYTES, parser }: BodyOptions = {}): {
  readonly receive: Koa.Middleware;
  readonly parse: Koa.Middleware;
} {
  const received = new WeakMap<Koa.Request, Buffer>();

  const receive: Koa.Middleware = (ctx, next) => {
    if (!parser || ctx.req.readableDidRead || ctx.is(TYPES) === null) return receiveOurs(ctx, next);
    askForBody(ctx.res);
    return parser(ctx as Koa.ParameterizedContext, () => receiveOurs(ctx, next));
  };

  async function receiveOurs(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    const type = ctx.is(TYPES);
    // null: there is no body. The app's own middleware may have read it.
    if (type === null || ctx.req.readableDidRead) return next();
    return type === false || parser === false ? bufferOther(ctx, next) : receiveBody(ctx, next);
  }

  async function bufferOther(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    askForBody(ctx.res);
    const held = new HeldBytes(ctx.res);
    // Node reads and drops the rest of a body after the response, but not once somebody has begun to read it.
    onRequestEnd(ctx.res, () => ctx.req.resume());
    await bufferBody(ctx.req, (size, chunk) => held.take(chunk) && size < MAX_BUFFERED_BYTES);
    if (hasEnded(ctx.res)) return;
    await next();
  }

  async function receiveBody(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    if (ctx.get('Content-Encoding') !== '' && ctx.get('Content-Encoding') !== 'identity') {
      throw new ProblemError(415, {
        detail: 'Send the body uncompressed.',
        headers: { 'Accept-Encoding': 'identity' },
      });
    }
    const bytes = await readBody(ctx.res, limit);
    if (hasEnded(ctx.res)) return;
    received.set(ctx.request, bytes);
    await next();
  }

  const parse: Koa.Middleware = (ctx, next) => {
    const bytes = received.get(ctx.request);
    if (bytes) {
      ctx.request.rawBody = bytes;
      ctx.request.body = parseJson(bytes);
    }
    return next();
  };

  return { receive, parse };
}

/** Parses a JSON body. @throws ProblemError 400 that says what is wrong with the text, and nothing else. */
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
 * Finds a key that would pollute Object.prototype when the value is merged into another object. It uses a list instead
 * of recursion, since 100 kB of brackets nest deeper than the stack.
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
 * Waits until a body is complete or enough of it has arrived, and leaves the request untouched: the next reader, by
 * whatever API, gets the body from its first byte. Rejects if the client disconnects half-way.
 * @param goesOn called for each chunk with the bytes so far and its own; false: that is enough.
 */
async function bufferBody(request: IncomingMessage, goesOn: (size: number, chunk: number) => boolean): Promise<void> {
  // Most bodies arrive together with the headers, and are complete after one turn of the event loop.
  await setImmediate();
  if (request.complete) {
    goesOn(request.readableLength, request.readableLength);
    return;
  }
  const finished = deferred();
  const chunks: Buffer[] = [];
  let size = 0;
  let enough = false;
  const take = () => {
    // Reading an empty stream would end it before later readers have attached their listeners.
    if (request.readableLength > 0) {
      const chunk = request.read() as Buffer | null;
      if (chunk) {
        chunks.push(chunk);
        size += chunk.length;
        enough = !goesOn(size, chunk.length);
      }
    }
    if (!request.complete && !enough) return;
    stop();
    // The stream emits `end` in the next tick, so the bytes can still be put back.
    if (size > 0) request.unshift(Buffer.concat(chunks));
    finished.resolve();
  };
  const leave = () => {
    stop();
    finished.reject(new Error('the client disconnected before the body was complete'));
  };
  const stop = () => {
    request.off('readable', take).off('error', leave).off('close', leave);
  };
  request.on('readable', take).once('error', leave).once('close', leave);
  await finished.promise;
  // Node removes a `readable` listener only in the next tick. Until then a `data` listener would receive nothing.
  await setImmediate();
}
