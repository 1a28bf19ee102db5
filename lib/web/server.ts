import type http from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { ListenAddress } from '../core/config';
import { listenError } from '../core/listen';
import type { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { createHttpServer, type HttpServerOptions } from './http-server';
import { adopt, IdleConnections, type RawConnection } from './raw-connection';
import { onRequestEnd } from './request-end';

/** Requests have ceased when none came for this long, ms. */
const CALM_MS = 250;
/** How often idle keep-alive connections are looked for while draining, ms. */
const IDLE_SWEEP_MS = 25;

/** Passes an idle connection on to another process; `done` closes our copy of it. */
export type PassOn = (connection: RawConnection, done: () => void) => void;

/** The HTTP server of one process: listens, becomes polite, drains. */
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
    if (this.address.kind === 'unix') return `unix:${this.address.path}`;
    const { port } = this.server.address() as AddressInfo;
    const host = this.address.host.includes(':') ? `[${this.address.host}]` : this.address.host;
    return `http://${host}:${port}`;
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

  /** Serves a connection that another process accepted. @returns false when this one is leaving too. */
  adopt(connection: RawConnection): boolean {
    return adopt(this.server, connection);
  }

  /**
   * Stops accepting; resolves when every response is out, or when the deadline has cut the rest off. Idle keep-alive
   * connections are passed on when there is somebody to take them, else closed. @returns how many it had to cut off.
   */
  drain(deadline: Deadline, passOn?: PassOn): Promise<number> {
    this.draining ??= this.drainOnce(deadline, passOn);
    return this.draining;
  }

  private async drainOnce(deadline: Deadline, passOn?: PassOn): Promise<number> {
    this.startPoliteness();
    const closed = deferred();
    // Not http's own close(): that one cuts idle connections at once, and leaves alive those that were busy.
    net.Server.prototype.close.call(this.server, () => closed.resolve());
    const clear = () => (passOn ? this.idle.giveAway(passOn) : this.idle.close());
    clear();
    const sweep = setInterval(clear, IDLE_SWEEP_MS);
    const end = await deadline.wait(closed.promise);
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
