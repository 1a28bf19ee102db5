import type http from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import net from 'node:net';
import type { ListenAddress } from '../core/config';
import { addressInUse, listenError } from '../core/listen';
import type { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { createHttpServer, type HttpServerOptions } from './http-server';
import { IdleConnections, type RawConnection, socketOf } from './raw-connection';
import { onRequestEnd } from './request-end';

/** Requests have ceased when none came for this long, ms. */
const CALM_MS = 250;
/** How often idle keep-alive connections are looked for while draining, ms. */
const IDLE_SWEEP_MS = 25;

/** Passes an idle connection on to another process; `done` closes our copy of it. */
export type PassOn = (connection: RawConnection, done: () => void) => void;

/** The HTTP server of one process: listens, or serves connections that it is given; becomes polite, drains. */
export class WebServer {
  private readonly server: http.Server;
  private readonly idle: IdleConnections;
  private readonly responses = new Set<ServerResponse>();
  private polite = false;
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
    return this.polite;
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

  async becomePolite(atMostMs: number): Promise<void> {
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
  drain(deadline: Deadline, passOn?: PassOn): Promise<number> {
    this.draining ??= this.drainOnce(deadline, passOn);
    return this.draining;
  }

  private async drainOnce(deadline: Deadline, passOn?: PassOn): Promise<number> {
    this.startPoliteness();
    // Not http's own close(): that one cuts idle connections at once, and leaves alive those that were busy.
    if (this.server.listening) net.Server.prototype.close.call(this.server);
    const clear = () => (passOn ? this.idle.giveAway(passOn) : this.idle.close());
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
    if (this.polite) response.shouldKeepAlive = false;
    this.handler(request, response);
  }

  private startPoliteness(): void {
    this.polite = true;
    for (const response of this.responses) {
      if (!response.headersSent) response.shouldKeepAlive = false;
    }
  }
}
