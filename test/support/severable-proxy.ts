import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

/**
 * Stands between a client and a server; can be away, as the server would be: connections cut, new ones refused. Or silent:
 * it takes connections and what they say, and no answer comes.
 */
export class SeverableProxy {
  private readonly sockets = new Set<net.Socket>();
  port = 0;
  private silent = false;
  private readonly server: net.Server;

  /** @param certificate in PEM: it takes TLS connections only then, and hands on what they say in the clear. */
  constructor(
    target: { readonly host: string; readonly port: number },
    certificate?: { readonly cert: string; readonly key: string },
  ) {
    const onConnection = (inward: net.Socket) => {
      const outward = net.connect(target);
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
      // Clients that do not trust the certificate, or speak no TLS, are what some tests are about.
      const secure = tls.createServer(certificate, onConnection);
      this.server = secure.on('tlsClientError', (_error, socket) => socket.destroy());
    }
  }

  /** @returns the port, the same each time. */
  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this.port;
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
