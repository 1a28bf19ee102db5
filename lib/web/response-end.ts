import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Listener = () => void;

/** Who wants to hear of a response's end. A property, since a WeakMap is dearer to the garbage collector, request by request. */
const LISTENERS = Symbol('request end');
interface Awaited extends ServerResponse {
  [LISTENERS]?: Set<Listener> | undefined;
}

/** Responses awaited on each socket: one listener of it, however many requests a client has pipelined. */
const awaited = new WeakMap<Socket, Set<ServerResponse>>();

/**
 * Calls `listener` once: when the response has been sent, or when its connection has closed before that. A response
 * that waits behind another one on a pipelining connection never emits `close` itself, so the socket is heard too.
 * @returns a function that takes the listener back.
 */
export function onRequestEnd(response: Awaited, listener: Listener): () => void {
  const listeners = response[LISTENERS] ?? listenTo(response);
  listeners.add(listener);
  if (hasEnded(response)) queueMicrotask(() => end(response));
  return () => listeners.delete(listener);
}

/** Nobody is left to answer, or the answer is out. */
export function hasEnded(response: ServerResponse): boolean {
  return response.writableFinished || response.req.socket.destroyed;
}

/** Its answer can be sent: of pipelined requests only the first that is not answered yet has the socket. */
export function answersNow(response: ServerResponse): boolean {
  return response.socket !== null;
}

/** Resolves when the answer can be sent, or when nobody is left to send it to. */
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
