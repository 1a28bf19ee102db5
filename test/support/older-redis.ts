import net, { type AddressInfo } from 'node:net';
import type { TestRedis } from './redis';

/** Settings of a server without the command HELLO, which the client sends first and Redis 6.0 introduced. */
export const WITHOUT_HELLO = ['--rename-command', 'HELLO', ''];

/** A real server behind a proxy that changes one thing in its replies: the version in INFO. */
export class OlderRedis {
  private readonly sockets = new Set<net.Socket>();
  private readonly server: net.Server;

  /** @param version of the same length as the first two numbers of the real one: `6.0` for 8.2. undefined: the real one. */
  constructor(
    real: TestRedis,
    public version: string | undefined,
  ) {
    this.server = net.createServer((inward) => {
      const outward = net.connect(real.port, '127.0.0.1');
      for (const [socket, other] of [
        [inward, outward],
        [outward, inward],
      ] as const) {
        this.sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.once('close', () => other.destroy());
      }
      inward.pipe(outward);
      // latin1, since UTF-8 would corrupt a character that is split between two chunks.
      outward.on('data', (bytes) =>
        inward.write(
          bytes
            .toString('latin1')
            .replace(/(redis_version:)(\d\.\d)/, (_, name, real) => name + (this.version ?? real)),
          'latin1',
        ),
      );
    });
  }

  /** @returns its URL. */
  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `redis://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
