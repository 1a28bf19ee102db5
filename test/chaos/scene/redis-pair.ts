import { setTimeout as wait } from 'node:timers/promises';
import { createClient } from 'redis';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { TcpProxy } from '../../support/tcp-proxy';
import { until } from '../../support/until';

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
    const pair = new RedisPair(primary, replica, await TcpProxy.start(primary.url));
    await pair.follow();
    return pair;
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
    await withRedis(replica.url, (client) => client.sendCommand(['REPLICAOF', 'NO', 'ONE']));
    await wait(behindMs);
    this.network.lead(replica.url);
    this.network.cut();
    await primary.kill();
    [this.primary, this.replica] = [replica, primary];
    await primary.restart({ wipe: true });
    await this.follow();
  }

  command(...words: string[]): Promise<unknown> {
    return withRedis(this.primary.url, (client) => client.sendCommand(words));
  }

  async stop(): Promise<void> {
    await Promise.all([this.network.down(), this.primary.remove(), this.replica.remove()]);
  }

  private async follow(): Promise<void> {
    await withRedis(this.replica.url, async (client) => {
      await client.sendCommand(['REPLICAOF', '127.0.0.1', String(this.primary.port)]);
      const synced = async () => /master_link_status:up/.test(await client.info('replication'));
      await until('the replica is in sync', synced, { timeoutMs: 60_000, everyMs: 50 });
    });
  }
}

async function withRedis<T>(url: string, work: (client: ReturnType<typeof clientOf>) => Promise<T>): Promise<T> {
  const client = clientOf(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    client.destroy();
  }
}

function clientOf(url: string) {
  return createClient({ url });
}
