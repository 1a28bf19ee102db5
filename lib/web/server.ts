import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import type { ListenAddress } from '../core/config';
import { addressInUse, listenError } from '../core/listen-address';
import { IdleConnections, type RawConnection, socketOf } from '../internals/socket-handoff';
import { type Deadline, deferred } from '../support/async';
import { onRequestEnd } from './response-end';
import { StalledWrites } from './stalled-writes';

interface HttpServerOptions {
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

/** Requests have ceased when none came for this long, ms. */
const CALM_MS = 250;
/** How often idle keep-alive connections are looked for while draining, ms. */
const IDLE_SWEEP_MS = 25;

/** Passes an idle connection on to another process; `done` closes our copy of it. */
type HandOff = (connection: RawConnection, done: () => void) => void;

/** The HTTP server of one process: listens, or serves connections that it is given; becomes polite, drains. */
export class WebServer {
  private readonly server: http.Server;
  private readonly idle: IdleConnections;
  private readonly responses = new Set<ServerResponse>();
  private lameDuck = false;
  private lastRequestAt = 0;
  private draining: Promise<number> | undefined;

  constructor(
    private readonly address: ListenAddress,
    private readonly handler: RequestListener,
    options: HttpServerOptions,
  ) {
    this.server = createHttpServer((request, response) => this.serve(request, response), options);
    this.idle = new IdleConnections(this.server);
  }

  /** True from the moment the process is asked to go: readiness says no. */
  get leaving(): boolean {
    return this.lameDuck;
  }

  /**
   * @returns the address in use, such as `http://127.0.0.1:3000`.
   * @throws UserError when the address cannot be had.
   */
  async listen(): Promise<string> {
    const listening = deferred();
    this.server.once('error', (error: NodeJS.ErrnoException) => listening.reject(listenError(error, this.address)));
    this.server.once('listening', () => listening.resolve());
    if (this.address.kind === 'unix') this.server.listen(this.address.path);
    else this.server.listen({ host: this.address.host, port: this.address.port });
    await listening.promise;
    return addressInUse(this.server, this.address);
  }

  /** Instead of listening: another process does, and this one is given connections. */
  expectConnections(): void {
    // Node begins with this event to keep the time limits of connections, and to know which are idle.
    this.server.emit('listening');
  }

  /** Serves a connection that another process has accepted. */
  serveConnection(connection: net.Socket | RawConnection): void {
    this.server.emit('connection', socketOf(connection));
  }

  async enterLameDuck(atMostMs: number): Promise<void> {
    this.startPoliteness();
    const since = performance.now();
    const calm = deferred();
    const timer = setInterval(() => {
      const quietMs = performance.now() - Math.max(this.lastRequestAt, since);
      if (quietMs >= CALM_MS || performance.now() - since >= atMostMs) calm.resolve();
    }, CALM_MS / 5);
    await calm.promise;
    clearInterval(timer);
  }

  /**
   * Stops listening; resolves when every response is out, or when the deadline has cut the rest off. Idle keep-alive
   * connections are passed on when there is somebody to take them, else closed. @returns how many it had to cut off.
   */
  drain(deadline: Deadline, handOff?: HandOff): Promise<number> {
    this.draining ??= this.drainOnce(deadline, handOff);
    return this.draining;
  }

  private async drainOnce(deadline: Deadline, handOff?: HandOff): Promise<number> {
    this.startPoliteness();
    // Not http's own close(): that one cuts idle connections at once, and leaves alive those that were busy.
    if (this.server.listening) net.Server.prototype.close.call(this.server);
    const clear = () => (handOff ? this.idle.handOff(handOff) : this.idle.close());
    clear();
    const sweep = setInterval(clear, IDLE_SWEEP_MS);
    const end = await deadline.wait(this.idle.gone());
    clearInterval(sweep);
    if (end === 'done') return 0;
    const cut = this.responses.size;
    this.server.closeAllConnections();
    return cut;
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    this.lastRequestAt = performance.now();
    this.responses.add(response);
    onRequestEnd(response, () => this.responses.delete(response));
    if (this.lameDuck) response.shouldKeepAlive = false;
    this.handler(request, response);
  }

  private startPoliteness(): void {
    this.lameDuck = true;
    for (const response of this.responses) {
      if (!response.headersSent) response.shouldKeepAlive = false;
    }
  }
}
