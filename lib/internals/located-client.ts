import net from 'node:net';
import type { BeeClient, BeeClientOptions, OfflineQueue } from './bee-queue';

/** @returns the server to connect to next; undefined: that of the options. */
export type Locate = () => Promise<{ readonly host: string; readonly port: number }> | undefined;

/** What `create_stream` of node_redis 3 uses. */
interface Connecting {
  stream: net.Socket | undefined;
  address: string;
  readonly closing: boolean;
  readonly connection_options: { host: string; port: number; family: number };
  create_stream(): void;
  on_error(error: Error): void;
}

/**
 * A node_redis 3 client that locates its server before each connection. Private: `create_stream`, by which node_redis
 * makes them all, `connection_options`, and `on_error`. bee-queue recognizes it by the name of its class.
 * @param bees the `require` of bee-queue.
 */
export function locatedClient(bees: NodeJS.Require, options: BeeClientOptions, locate: Locate) {
  const { RedisClient: Base } = bees('redis') as { readonly RedisClient: new (options: object) => Connecting };
  // Adds the parts of the URL to the options.
  const unify = bees('redis/lib/createClient') as (options: BeeClientOptions) => object;
  class RedisClient extends Base {
    override create_stream(): void {
      const located = locate();
      if (!located) {
        super.create_stream();
        return;
      }
      this.stream?.removeAllListeners();
      this.stream?.destroy();
      // Others end or destroy the stream, so there must be one.
      const waiting = new net.Socket();
      this.stream = waiting;
      const ifWaiting = (act: () => void) => {
        if (!this.closing && this.stream === waiting) act();
      };
      located.then(
        ({ host, port }) =>
          ifWaiting(() => {
            Object.assign(this.connection_options, { host, port, family: net.isIP(host) });
            this.address = `${host}:${port}`;
            super.create_stream();
          }),
        // Several clients get the same error, and each would add a prefix to its message.
        (error: Error) => ifWaiting(() => this.on_error(new Error(error.message))),
      );
    }
  }
  return new RedisClient(unify(options)) as unknown as BeeClient & OfflineQueue;
}
