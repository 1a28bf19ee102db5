import net, { type AddressInfo } from 'node:net';

interface Parcel {
  readonly dueAt: number;
  readonly to: net.Socket;
  /** undefined: the end of the stream. */
  readonly bytes: Buffer | undefined;
}

/** Longer waits are left to a timer, which is precise to about this, ms. */
const TIMER_MS = 1.15;

/** Passes TCP on to a port of this machine, everything the same time late, in order: a network, for those who have none. */
export class DelayingProxy {
  // All parcels wait for the same time, so one queue for all connections is in order.
  private readonly queue: Parcel[] = [];
  private readonly sockets = new Set<net.Socket>();
  private pumping = false;
  private readonly server: net.Server;

  /** @param delayMs each way. */
  constructor(
    targetPort: number,
    private readonly delayMs: number,
  ) {
    this.server = net.createServer({ noDelay: true }, (inward) => {
      const outward = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
      this.pass(inward, outward);
      this.pass(outward, inward);
    });
  }

  /** @returns its port. */
  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return (this.server.address() as AddressInfo).port;
  }

  stop(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private pass(from: net.Socket, to: net.Socket): void {
    this.sockets.add(from);
    from.on('data', (bytes) => this.put(to, bytes));
    from.on('end', () => this.put(to, undefined));
    from.on('error', () => to.destroy());
    from.on('close', () => this.sockets.delete(from));
  }

  private put(to: net.Socket, bytes: Buffer | undefined): void {
    this.queue.push({ dueAt: performance.now() + this.delayMs, to, bytes });
    if (this.pumping) return;
    this.pumping = true;
    this.waitFor(this.delayMs);
  }

  private pump(): void {
    let sent = 0;
    const now = performance.now();
    for (const { dueAt, to, bytes } of this.queue) {
      if (dueAt > now) break;
      sent++;
      if (to.destroyed) continue;
      if (bytes) to.write(bytes);
      else to.end();
    }
    this.queue.splice(0, sent);
    const [next] = this.queue;
    this.pumping = next !== undefined;
    if (next) this.waitFor(next.dueAt - now);
  }

  /** Timers know whole milliseconds only; the rest is spent turning the event loop. */
  private waitFor(ms: number): void {
    if (ms > TIMER_MS) setTimeout(() => this.pump(), Math.floor(ms));
    else setImmediate(() => this.pump());
  }
}
