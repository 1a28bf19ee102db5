import { setTimeout as wait } from 'node:timers/promises';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { replicate, tell } from '../../support/replicated-redis';
import { TcpProxy } from '../../support/tcp-proxy';

/** Acknowledged writes are in the AOF file, although not flushed, so a killed Redis comes back with all of them. */
const SETTINGS = ['--appendfsync', 'no'];

/** A Redis and its replica behind one address. */
export class RedisPair {
  private constructor(
    private primary: TestRedis,
    private replica: TestRedis,
    readonly network: TcpProxy,
  ) {}

  static async start(): Promise<RedisPair> {
    const [primary, replica] = await Promise.all([startTestRedis(...SETTINGS), startTestRedis(...SETTINGS)]);
    await replicate(replica, primary);
    return new RedisPair(primary, replica, await TcpProxy.start(primary.url));
  }

  /** The server that currently serves. */
  get current(): TestRedis {
    return this.primary;
  }

  /** The address that the tree uses. */
  get url(): string {
    return this.network.url;
  }

  /**
   * Fails over as a managed plan does: the replica takes over with its data, and the old primary comes back as its empty
   * replica. @param behindMs the replica lacks the writes of this time, ms.
   */
  async failOver(behindMs: number): Promise<void> {
    const { primary, replica } = this;
    await tell(replica, ['REPLICAOF', 'NO', 'ONE']);
    await wait(behindMs);
    this.network.lead(replica.url);
    this.network.cut();
    await primary.kill();
    [this.primary, this.replica] = [replica, primary];
    await primary.restart({ wipe: true });
    await replicate(primary, replica);
  }

  command(...words: string[]): Promise<unknown> {
    return tell(this.primary, words);
  }

  async stop(): Promise<void> {
    await Promise.all([this.network.down(), this.primary.remove(), this.replica.remove()]);
  }
}
