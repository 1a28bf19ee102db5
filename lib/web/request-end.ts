import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Listener = () => void;

/** Listeners for the end of a response: a property, since a WeakMap entry per request would burden the collector. */
const LISTENERS = Symbol('request end');
interface Awaited extends ServerResponse {
  [LISTENERS]?: Set<Listener> | undefined;
}

/** Responses with listeners, by socket. The socket itself gets one listener, however many requests are pipelined. */
const awaited = new WeakMap<Socket, Set<ServerResponse>>();

/**
 * Calls `listener` once: when the response has been sent, or when its connection has closed before that. A response
 * that waits behind another one on a pipelined connection never emits `close` itself, so the socket is listened to as
 * well.
 * @returns a function that removes the listener.
 */
export function onRequestEnd(response: Awaited, listener: Listener): () => void {
  const listeners = response[LISTENERS] ?? listenTo(response);
  listeners.add(listener);
  if (hasEnded(response)) queueMicrotask(() => end(response));
  return () => listeners.delete(listener);
}

/** @returns true if the response has been sent, or nobody is left to receive it. */
export function hasEnded(response: ServerResponse): boolean {
  return response.writableFinished || response.req.socket.destroyed;
}

/** @returns true if the response can be sent: of pipelined requests only the oldest unanswered one has the socket. */
export function answersNow(response: ServerResponse): boolean {
  return response.socket !== null;
}

/** Resolves when the response can be sent (`now`), or when nobody is left to receive it (`gone`). */
export function itsTurn(response: ServerResponse): Promise<'now' | 'gone'> {
  return new Promise((resolve) => {
    const forget = onRequestEnd(response, () => resolve('gone'));
    response.once('socket', () => {
      forget();
      resolve(hasEnded(response) ? 'gone' : 'now');
    });
  });
}

function listenTo(response: Awaited): Set<Listener> {
  const listeners = new Set<Listener>();
  response[LISTENERS] = listeners;
  response.on('close', onClose);
  const { socket } = response.req;
  (awaited.get(socket) ?? listenToSocket(socket)).add(response);
  return listeners;
}

function listenToSocket(socket: Socket): Set<ServerResponse> {
  const responses = new Set<ServerResponse>();
  awaited.set(socket, responses);
  socket.once('close', () => {
    for (const response of responses) end(response);
  });
  return responses;
}

function onClose(this: ServerResponse): void {
  end(this);
}

function end(response: Awaited): void {
  awaited.get(response.req.socket)?.delete(response);
  const listeners = response[LISTENERS];
  if (!listeners) return;
  response[LISTENERS] = undefined;
  for (const listener of listeners) {
    listeners.delete(listener);
    listener();
  }
}
