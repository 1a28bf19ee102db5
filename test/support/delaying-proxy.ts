import net, { type AddressInfo } from 'node:net';

interface Packet {
  readonly dueAt: number;
  readonly to: net.Socket;
  /** undefined marks the end of the stream. */
  readonly bytes: Buffer | undefined;
}

/** Waits longer than this, ms, use a timer, which is about this precise; shorter ones turn the event loop. */
const TIMER_MS = 1.15;

/** Simulates network latency: forwards TCP to a local port, with all bytes in order and equally delayed. */
export class DelayingProxy {
  // Every packet waits equally long, so one queue for all connections is ordered by due time.
  private readonly queue: Packet[] = [];
  private pumping = false;
  private readonly sockets = new Set<net.Socket>();
  private readonly server: net.Server;

  /** @param delayMs latency in each direction, ms; a round trip takes twice as long. It may be changed at any time. */
  constructor(
    targetPort: number,
    public delayMs: number,
  ) {
    this.server = net.createServer({ noDelay: true }, (inward) => {
      const outward = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
      this.pass(inward, outward);
      this.pass(outward, inward);
    });
  }

  /** @returns the port it listens on, chosen by the system. */
  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return (this.server.address() as AddressInfo).port;
  }

  /** Stops listening and closes all connections. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private pass(from: net.Socket, to: net.Socket): void {
    this.sockets.add(from);
    from.once('close', () => this.sockets.delete(from));
    from.on('data', (bytes) => this.put(to, bytes));
    from.on('end', () => this.put(to, undefined));
    from.on('error', () => to.destroy());
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

  /** Timers only take whole milliseconds; the rest of the wait is spent turning the event loop. */
  private waitFor(ms: number): void {
    if (ms > TIMER_MS) setTimeout(() => this.pump(), Math.floor(ms));
    else setImmediate(() => this.pump());
  }
}
