import net, { type AddressInfo } from 'node:net';

/** A fixed address in front of changing servers, like that of a managed plan in a failover. */
export class TcpSwitch {
  private readonly pairs = new Set<readonly [net.Socket, net.Socket]>();
  private readonly server = net.createServer((inward) => this.connect(inward));
  private silent = false;
  private down = false;

  private constructor(private target: number) {}

  static async start(target: number): Promise<TcpSwitch> {
    const made = new TcpSwitch(target);
    await new Promise<void>((resolve) => made.server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Sends new connections to another port, and cuts existing ones. */
  pointTo(target: number): void {
    this.target = target;
    this.cut();
  }

  private cut(): void {
    for (const sockets of this.pairs) for (const socket of sockets) socket.resetAndDestroy();
  }

  /** Cuts existing connections and resets new ones. */
  takeDown(): void {
    this.down = true;
    this.cut();
  }

  /** Keeps connections and accepts new ones, but passes no bytes, like a network that drops packets. */
  swallow(): void {
    this.silent = true;
    for (const sockets of this.pairs) for (const socket of sockets) socket.pause();
  }

  /** Ends `takeDown` and `swallow`. Held bytes arrive after all. */
  mend(): void {
    this.down = this.silent = false;
    for (const sockets of this.pairs) for (const socket of sockets) socket.resume();
  }

  async stop(): Promise<void> {
    this.down = true;
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.cut();
    await closed;
  }

  private connect(inward: net.Socket): void {
    if (this.down) {
      inward.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const outward = net.connect(this.target, '127.0.0.1');
    const pair = [inward, outward] as const;
    this.pairs.add(pair);
    for (const [socket, other] of [pair, [outward, inward] as const]) {
      socket.setNoDelay(true);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.once('close', () => {
        this.pairs.delete(pair);
        other.destroy();
      });
    }
    if (this.silent) for (const socket of pair) socket.pause();
  }
}
