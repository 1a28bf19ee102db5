import type { IncomingMessage } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { deferred } from '../support/deferred';

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
