import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

/**
 * A TCP proxy between a client and a server that a test can sever (connections are cut and new ones refused, as if the
 * server were down) or silence (connections and bytes are accepted, but nothing is answered).
 */
export class SeverableProxy {
  private readonly sockets = new Set<net.Socket>();
  port = 0;
  private silent = false;
  private readonly server: net.Server;

  /** @param certificate in PEM. With it the proxy accepts only TLS and forwards the plain text to the target. */
  constructor(
    private target: { readonly host: string; readonly port: number },
    certificate?: { readonly cert: string; readonly key: string },
  ) {
    const onConnection = (inward: net.Socket) => {
      const outward = net.connect(this.target);
      for (const [socket, other] of [
        [inward, outward],
        [outward, inward],
      ] as const) {
        this.sockets.add(socket);
        if (this.silent) socket.resume();
        else socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.once('close', () => {
          this.sockets.delete(socket);
          other.destroy();
        });
      }
    };
    if (certificate === undefined) this.server = net.createServer(onConnection);
    else {
      // Some tests connect clients that do not trust the certificate or do not speak TLS.
      const secure = tls.createServer(certificate, onConnection);
      this.server = secure.on('tlsClientError', (_error, socket) => socket.destroy());
    }
  }

  /** Listens, for the first time or again after `sever()`. @returns the port, which never changes. */
  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this.port;
  }

  /** Directs new connections to another server; existing ones stay, as when a DNS name changes after a failover. */
  lead(target: { readonly host: string; readonly port: number }): void {
    this.target = target;
  }

  silence(): void {
    this.silent = true;
    for (const socket of this.sockets) socket.unpipe().resume();
  }

  async sever(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
