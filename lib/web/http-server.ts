import http, { type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { onRequestEnd } from './request-end';
import { StalledWrites } from './stalled-writes';

export interface HttpServerOptions {
  /** A caller who takes nothing of an answer for this long is cut off, ms. */
  readonly writeTimeoutMs: number;
}

/**
 * Above the 90 s that Heroku's router keeps an idle connection, so that the router closes first and never sends a
 * request into a connection that is just closing. The next two keep slow clients from holding sockets for ever; Node looks
 * for those whose time is over at the interval, which is half a minute unless one is given.
 */
const TIMEOUTS = {
  keepAliveTimeout: 95_000,
  headersTimeout: 15_000,
  requestTimeout: 29_000,
  connectionsCheckingInterval: 1000,
  maxHeaderSize: 16_384,
};
/** How many requests of one connection may wait for their answers: a client that pipelines more sends the rest anew. */
const MOST_PIPELINED = 128;
/** Who still sends after that many more does not heed answers at all. */
const MOST_IGNORED = 1024;

interface Pipeline {
  unanswered: number;
  ignored: number;
  /** The last answer that it is given is on its way, or waits for its turn. */
  closing: boolean;
}

/**
 * Node's HTTP server with bounds to what one connection may take: time for its requests, time for its answers, and
 * requests that wait. Beyond the last bound the connection is closed behind an answer, as RFC 9112 (9.3.2) lets a server
 * do, and what came behind that one is never begun.
 */
export function createHttpServer(handler: RequestListener, { writeTimeoutMs }: HttpServerOptions): http.Server {
  const pipelines = new WeakMap<Socket, Pipeline>();
  const stalled = new StalledWrites(writeTimeoutMs);
  const serve: RequestListener = (request, response) => {
    const pipeline = pipelineOf(pipelines, request.socket);
    // Behind an answer that closed the connection, the parser goes on through what it has read already.
    if (pipeline.closing || request.socket.writableEnded) {
      if (++pipeline.ignored > MOST_IGNORED) request.socket.destroy();
      return;
    }
    pipeline.closing = ++pipeline.unanswered >= MOST_PIPELINED;
    if (pipeline.closing) response.shouldKeepAlive = false;
    stalled.add(response);
    onRequestEnd(response, () => {
      pipeline.unanswered--;
      stalled.delete(response);
    });
    handler(request, response);
  };
  const server = http.createServer(TIMEOUTS, serve);
  // Whoever wants the body asks for it (`askForBody`): by then it is known how large it is to be.
  server.on('checkContinue', serve);
  stalled.start(server);
  return server;
}

function pipelineOf(pipelines: WeakMap<Socket, Pipeline>, socket: Socket): Pipeline {
  const known = pipelines.get(socket);
  if (known) return known;
  const pipeline = { unanswered: 0, ignored: 0, closing: false };
  pipelines.set(socket, pipeline);
  return pipeline;
}
