import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** One listener per socket, however many requests a client has pipelined on it. */
const ends = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `listener` once: when the response has been sent, or when its connection has closed before that. A response
 * that waits behind another one on a pipelining connection never emits `close` itself, so the socket is heard too.
 * @returns a function that takes the listener back.
 */
export function onRequestEnd(response: ServerResponse, listener: () => void): () => void {
  const { socket } = response.req;
  const listeners = ends.get(socket) ?? hear(socket);
  const once = () => {
    if (takeBack()) listener();
  };
  const takeBack = () => {
    response.off('close', once);
    return listeners.delete(once);
  };
  listeners.add(once);
  response.once('close', once);
  if (hasEnded(response)) queueMicrotask(once);
  return takeBack;
}

/** Nobody is left to answer, or the answer is out. */
export function hasEnded(response: ServerResponse): boolean {
  return response.writableFinished || response.req.socket.destroyed;
}

function hear(socket: Socket): Set<() => void> {
  const listeners = new Set<() => void>();
  ends.set(socket, listeners);
  socket.once('close', () => {
    for (const listener of [...listeners]) listener();
  });
  return listeners;
}
