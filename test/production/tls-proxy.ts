import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { Certificate } from './certificates';

/** Takes TLS connections only, and hands what they say to a server that knows no TLS. */
export class TlsProxy {
  private readonly sockets = new Set<net.Socket>();
  private readonly server: tls.Server;

  constructor({ chain, key }: Certificate, targetPort: number) {
    this.server = tls.createServer({ cert: chain, key }, (inward) => {
      const outward = net.connect(targetPort, '127.0.0.1');
      for (const [socket, other] of [
        [inward, outward],
        [outward, inward],
      ] as const) {
        this.sockets.add(socket);
        socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.once('close', () => {
          this.sockets.delete(socket);
          other.destroy();
        });
      }
    });
    // Clients that do not trust the certificate, or speak no TLS, are what some tests are about.
    this.server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
