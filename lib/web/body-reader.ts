import type { ServerResponse } from 'node:http';
import { deferred } from '../support/deferred';
import { ProblemError } from './problem';

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
