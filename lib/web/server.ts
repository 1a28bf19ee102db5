import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import http from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { STOP_PHASES } from '../core/shutdown';
import type { Credentials } from '../core/tls';
import {
  type Arrival,
  arrivalOf,
  IdleConnections,
  noteArrival,
  type RawConnection,
  socketOf,
} from '../internals/socket-handoff';
import type { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { refuse } from './client-error';
import type { AbortedRequest, HttpServerOptions } from './options';
import type { Prelude } from './prelude';
import { onRequestEnd } from './request-end';
import { StalledWrites } from './stalled-writes';

/** Node looks for overdue requests at intervals of `connectionsCheckingInterval`, which is 30 s by default. */
const LIMITS = { connectionsCheckingInterval: 1000, maxHeaderSize: 16_384 };
/**
 * Exceeds the 90 s for which Heroku's router keeps an idle connection. So the router closes first, and never sends a request
 * into a connection that is being closed. ms.
 */
const KEEP_ALIVE_MS = 95_000;
/** Maximum number of unanswered requests on one connection; a client that pipelines more has to resend the rest. */
const MAX_PIPELINED = 128;
/** A client that sends more than this many further requests, which are ignored, is cut off. */
const MAX_IGNORED = 1024;

interface Pipeline {
  /** Requests that it has had. */
  requests: number;
  unanswered: number;
  ignored: number;
  /** true when the connection's last response is being sent, or waits for its turn. */
  closing: boolean;
}

/**
 * Node's HTTP server with limits on what one connection may take: time for its requests, time for its responses, and
 * the number of pipelined requests. At the last limit the connection is closed after a response, as RFC 9112 (9.3.2)
 * permits, and the requests that follow are never begun.
 */
export function createHttpServer(handler: RequestListener, options: HttpServerOptions): http.Server {
  const { writeTimeoutMs, requestTimeoutMs, headerTimeoutMs = 15_000, keepAliveTimeoutMs = KEEP_ALIVE_MS } = options;
  const maxRequests = options.keepAliveRequests || Number.POSITIVE_INFINITY;
  const pipelines = new WeakMap<Socket, Pipeline>();
  const stalled = new StalledWrites(writeTimeoutMs);
  const serve: RequestListener = (request, response) => {
    const pipeline = findPipeline(pipelines, request.socket);
    // The parser still delivers the requests that it has read before the connection was closed.
    if (pipeline.closing || request.socket.writableEnded) {
      if (++pipeline.ignored > MAX_IGNORED) request.socket.destroy();
      return;
    }
    pipeline.closing = ++pipeline.unanswered >= MAX_PIPELINED || ++pipeline.requests >= maxRequests;
    if (pipeline.closing) response.shouldKeepAlive = false;
    stalled.add(response);
    onRequestEnd(response, () => {
      pipeline.unanswered--;
      stalled.delete(response);
    });
    handler(request, response);
  };
  // Node throws if the headers may take longer than the request.
  const headersTimeout = Math.min(headerTimeoutMs, requestTimeoutMs);
  const timeouts = { headersTimeout, requestTimeout: requestTimeoutMs, keepAliveTimeout: keepAliveTimeoutMs };
  const server = http.createServer({ ...LIMITS, ...timeouts }, serve);
  // `askForBody` sends 100 Continue once a reader wants the body. By then its maximum size is known.
  server.on('checkContinue', serve);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    refuse(error, socket, stalled.of(socket));
  });
  stalled.start(server);
  return server;
}

function findPipeline(pipelines: WeakMap<Socket, Pipeline>, socket: Socket): Pipeline {
  const known = pipelines.get(socket);
  if (known) return known;
  const pipeline = { requests: 0, unanswered: 0, ignored: 0, closing: false };
  pipelines.set(socket, pipeline);
  return pipeline;
}

/** Requests count as having ceased once none has arrived for this long, ms. */
const QUIET_MS = 250;
/** Interval between sweeps for idle keep-alive connections while draining, ms. */
const IDLE_SWEEP_MS = 25;

/** A WebSocket close frame with the code 1001 (RFC 6455, 5.5.1 and 7.4.1). */
const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

function abortedRequest({ method, url = '' }: IncomingMessage, since: number, id: unknown): AbortedRequest {
  const ageMs = Math.round(performance.now() - since);
  return { what: `${method} ${url.split('?')[0]}`, id: typeof id === 'string' ? id : '', ageMs };
}

/** Hands an idle connection to another process; `done` closes our copy of it. */
type HandOff = (connection: RawConnection, done: () => void) => void;

/** The HTTP server of one process: it serves connections that the primary has accepted, enters lame duck, and drains. */
export class WebServer {
  private readonly server: http.Server;
  private readonly idle: IdleConnections;
  /** Unfinished responses, with the times at which their requests arrived, ms on the monotonic clock. */
  private readonly responses = new Map<ServerResponse, number>();
  private readonly goodbyes = new Map<ServerResponse, AbortController>();
  /** Upgraded connections, with their requests and the times at which these arrived, ms on the monotonic clock. */
  private readonly upgraded = new Map<Duplex, { readonly request: IncomingMessage; readonly since: number }>();
  private readonly leave = new AbortController();
  /** Requests and upgraded connections that the deadline of `drain` has cut off. */
  aborted: readonly AbortedRequest[] = [];
  private lameDuck = false;
  private lastRequestAt = 0;
  private draining: Promise<number> | undefined;
  /** Loaded once TLS or the PROXY protocol is used. */
  private prelude: Promise<Prelude> | undefined;

  constructor(
    private readonly handler: RequestListener,
    private readonly options: HttpServerOptions,
  ) {
    this.server = createHttpServer((request, response) => {
      this.note(response);
      this.handler(request, response);
    }, options);
    this.idle = new IdleConnections(this.server);
  }

  /** Aborted when the process begins to drain. */
  get goodbye(): AbortSignal {
    return this.leave.signal;
  }

  /** @returns a signal aborted when the process begins to drain. Each response has its own, dropped when it ends. */
  goodbyeOf(response: ServerResponse): AbortSignal {
    const known = this.goodbyes.get(response);
    if (known) return known.signal;
    const controller = new AbortController();
    if (this.leave.signal.aborted) controller.abort();
    this.goodbyes.set(response, controller);
    onRequestEnd(response, () => this.goodbyes.delete(response));
    return controller.signal;
  }

  /** Lets the app add its listeners, such as one for upgrades. */
  async extend(add: (server: http.Server, goodbye: AbortSignal) => unknown): Promise<void> {
    await add(this.server, this.goodbye);
    // socket.io answers its own requests before they reach our listener, but `drain` must wait for these and name them.
    this.server.prependListener('request', (_, response) => this.note(response));
    // If ours were the only listener, Node would not answer an upgrade that the app ignores.
    if (this.server.listenerCount('upgrade') > 0)
      this.server.prependListener('upgrade', (request, socket) => this.watch(request, socket));
  }

  private watch(request: IncomingMessage, socket: Duplex): void {
    this.upgraded.set(socket, { request, since: performance.now() });
    socket.once('close', () => this.upgraded.delete(socket));
  }

  /** true from the moment the process is asked to stop, so that readiness fails. */
  get leaving(): boolean {
    return this.lameDuck;
  }

  /** Call it before `serveConnection`. */
  expectConnections(): void {
    // On this event Node begins to enforce timeouts of connections and to track which of them are idle.
    this.server.emit('listening');
  }

  serveConnection(connection: Socket | RawConnection): void {
    const arrival = arrivalOf(connection);
    const socket = socketOf(connection);
    noteArrival(socket, arrival);
    if (arrival?.isKept) this.awaitRequest(socket, arrival);
    else this.receive(socket, arrival);
  }

  private receive(socket: Socket, arrival: Arrival | undefined): void {
    if (!arrival?.tls && !arrival?.proxyProtocol && !arrival?.client) {
      this.server.emit('connection', socket);
      // The listener of this very process pauses what it accepts.
      if (socket.isPaused()) socket.resume();
    } else {
      this.idle.add(socket);
      void this.loadPrelude().then((prelude) => prelude.receive(socket, arrival));
    }
  }

  /** To Node the connection would be new: without a request within HEADER_TIMEOUT it would get a 408 and be closed. */
  private awaitRequest(socket: Socket, arrival: Arrival): void {
    this.idle.add(socket);
    const close = () => socket.destroy();
    socket.setTimeout(this.options.keepAliveTimeoutMs ?? KEEP_ALIVE_MS, close);
    socket.on('error', close).once('end', close);
    socket.once('data', (bytes) => {
      socket.setTimeout(0, close).off('end', close).pause().unshift(bytes);
      this.receive(socket, arrival);
    });
    socket.resume();
  }

  /** From now on handshakes of TLS use these. */
  async secure(credentials: Credentials): Promise<void> {
    (await this.loadPrelude()).secure(credentials);
  }

  private loadPrelude(): Promise<Prelude> {
    this.prelude ??= import('./prelude').then(({ Prelude }) => {
      const { headerTimeoutMs: patienceMs = 15_000, onRefused = () => undefined } = this.options;
      const serve = (socket: Socket) => this.server.emit('connection', socket);
      return new Prelude({ serve, patienceMs, onRefused, trusts: this.options.trusts ?? (() => true) });
    });
    return this.prelude;
  }

  /** Serves on, but closes each connection after its response. Resolves when requests cease, or after `atMostMs`. */
  async enterLameDuck(atMostMs: number): Promise<void> {
    this.disableKeepAlive();
    const since = performance.now();
    const quiet = deferred();
    const timer = setInterval(() => {
      const quietMs = performance.now() - Math.max(this.lastRequestAt, since);
      if (quietMs >= QUIET_MS || performance.now() - since >= atMostMs) quiet.resolve();
    }, QUIET_MS / 5);
    await quiet.promise;
    clearInterval(timer);
  }

  /**
   * Resolves when every response has been sent, or when the deadline has cut off the rest. Idle
   * keep-alive connections are handed off if `handOff` is given, else closed.
   * @returns the number of requests and upgraded connections that were cut off.
   */
  drain(deadline: Deadline, handOff?: HandOff): Promise<number> {
    this.draining ??= this.drainOnce(deadline, handOff);
    return this.draining;
  }

  private async drainOnce(deadline: Deadline, handOff?: HandOff): Promise<number> {
    this.disableKeepAlive();
    // http's own close() would also close idle connections instead of handing them off, and stop enforcing timeouts.
    const clear = () => (handOff ? this.idle.handOff(handOff) : this.idle.close());
    clear();
    const sweep = setInterval(clear, IDLE_SWEEP_MS);
    this.leave.abort();
    for (const controller of this.goodbyes.values()) controller.abort();
    const closing = setTimeout(() => this.closeUpgraded(), deadline.part(STOP_PHASES.goodbye).remaining());
    const end = await deadline.wait(this.idle.gone());
    clearInterval(sweep);
    clearTimeout(closing);
    if (end === 'done') return 0;
    this.aborted = [
      ...[...this.responses].map(([response, since]) =>
        abortedRequest(response.req, since, response.getHeader('X-Request-Id')),
      ),
      ...[...this.upgraded.values()].map(({ request, since }) => abortedRequest(request, since, undefined)),
    ];
    this.server.closeAllConnections();
    for (const socket of this.upgraded.keys()) socket.destroy();
    return this.aborted.length;
  }

  /** Ends the upgraded connections that the app has not ended itself; a WebSocket with the code for "going away". */
  private closeUpgraded(): void {
    for (const [socket, { request }] of this.upgraded) {
      const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket';
      // Our frame would corrupt a frame of the app that is half written.
      if (isWebSocket && socket.writableLength === 0) socket.end(GOING_AWAY);
      else socket.end();
    }
  }

  /** Tracks a response until it ends. Calling it again for the same one does nothing. */
  private note(response: ServerResponse): void {
    if (this.responses.has(response)) return;
    this.lastRequestAt = performance.now();
    this.responses.set(response, this.lastRequestAt);
    onRequestEnd(response, () => this.responses.delete(response));
    if (this.lameDuck) response.shouldKeepAlive = false;
  }

  /** From now on each connection closes after its response. */
  private disableKeepAlive(): void {
    this.lameDuck = true;
    for (const response of this.responses.keys()) {
      if (!response.headersSent) response.shouldKeepAlive = false;
    }
  }
}
