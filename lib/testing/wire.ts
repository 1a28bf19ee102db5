import { Duplex } from 'node:stream';

type Done = (error?: Error | null) => void;

/** One end of a connection in memory, with the properties that routes and HTTP expect of a local socket. */
export class Wire extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly remoteFamily = 'IPv4';
  readonly remotePort = 49_152;
  readonly localAddress = '127.0.0.1';
  readonly localPort = 3000;
  private other: Wire | undefined;
  private afterRead: Done | undefined;

  /** @returns the ends of a new connection: what is written to one is read from the other. */
  static pair(): readonly [client: Wire, server: Wire] {
    const client = new Wire();
    const server = new Wire();
    client.other = server;
    server.other = client;
    return [client, server];
  }

  /** Does nothing, like the two methods below, since a connection in memory neither times out nor is delayed. */
  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  override _read(): void {
    const { afterRead } = this;
    this.afterRead = undefined;
    afterRead?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    const { other } = this;
    if (!other || other.destroyed || other.push(chunk)) done();
    else other.afterRead = done;
  }

  override _final(done: Done): void {
    if (this.other && !this.other.destroyed) this.other.push(null);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    done(error);
    this.other?.destroy();
  }
}
