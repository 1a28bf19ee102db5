import net, { type AddressInfo } from 'node:net';

/** Stands between a client and a server; can be away, as the server would be: connections cut, new ones refused. */
export class SeverableProxy {
  private readonly sockets = new Set<net.Socket>();
  private port = 0;
  private readonly server: net.Server;

  constructor(target: { readonly host: string; readonly port: number }) {
    this.server = net.createServer((inward) => {
      const outward = net.connect(target);
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
  }

  /** @returns the port, the same each time. */
  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this.port;
  }

  async sever(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
