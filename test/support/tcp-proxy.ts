import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { DelayLine } from './delay-line';

export interface TcpProxyOptions {
  /** In PEM. With it the proxy accepts only TLS, and forwards the plain text. */
  readonly certificate?: { readonly cert: string; readonly key: string };
  /** How long each byte is delayed in each direction, ms; a round trip takes twice as long. */
  readonly delayMs?: number;
  /** Carries what the client and the server say, instead of piping it. */
  readonly carry?: (client: net.Socket, server: net.Socket) => void;
}

/** A fixed address in front of a server, whose connections a test cuts, holds, delays or leads elsewhere. */
export class TcpProxy {
  private readonly sockets = new Set<net.Socket>();
  private readonly server: net.Server;
  private ownPort = 0;
  private holds = false;

  private constructor(
    private target: URL,
    private readonly options: TcpProxyOptions,
  ) {
    const connect = (client: net.Socket) => this.connect(client);
    // Some tests connect clients that do not trust the certificate or do not speak TLS.
    this.server = options.certificate
      ? tls.createServer(options.certificate, connect).on('tlsClientError', (_error, socket) => socket.destroy())
      : net.createServer({ noDelay: true }, connect);
  }

  /** @param url of the server. */
  static async start(url: string, options: TcpProxyOptions = {}): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(url), options);
    await proxy.up();
    return proxy;
  }

  get port(): number {
    return this.ownPort;
  }

  /** The URL of the server, by way of the proxy. */
  get url(): string {
    return this.by(this.target.href);
  }

  /** @returns the URL of something on the same server, by way of the proxy. */
  by(url: string): string {
    const own = new URL(url);
    own.host = `127.0.0.1:${this.port}`;
    return own.href;
  }

  /** Leads new connections to another server. Existing ones stay, as when a DNS name changes after a failover. */
  lead(url: string): void {
    this.target = new URL(url);
  }

  /** Resets all connections. */
  cut(): void {
    for (const socket of this.sockets) {
      if (socket instanceof tls.TLSSocket) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  /** Cuts all connections and refuses new ones, as if the server were down. */
  async down(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.cut();
    await closed;
  }

  /** Accepts connections but passes no bytes, like a network that drops packets. */
  hold(): void {
    this.holds = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Ends `down()`, on the same port, and `hold()`, whose bytes arrive after all. */
  async up(): Promise<void> {
    this.holds = false;
    for (const socket of this.sockets) socket.resume();
    if (this.server.listening) return;
    await new Promise<void>((resolve) => this.server.listen(this.ownPort, '127.0.0.1', resolve));
    this.ownPort = (this.server.address() as AddressInfo).port;
  }

  private connect(client: net.Socket): void {
    const server = net.connect({ host: this.target.hostname, port: Number(this.target.port), noDelay: true });
    const { carry, delayMs = 0 } = this.options;
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(from);
      from.on('error', () => to.destroy());
      from.once('close', () => {
        this.sockets.delete(from);
        if (delayMs === 0) to.destroy();
      });
      if (carry) continue;
      if (delayMs > 0) from.pipe(new DelayLine(delayMs)).pipe(to);
      else from.pipe(to);
    }
    carry?.(client, server);
    if (this.holds) this.hold();
  }
}
