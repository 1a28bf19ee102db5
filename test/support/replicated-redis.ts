import assert from 'node:assert/strict';
import { createClient } from 'redis';
import { startTestRedis, type TestRedis } from './redis';
import { TcpProxy } from './tcp-proxy';
import { until } from './until';

/** Without this setting a master waits 5 s for more replicas before it sends its data. */
export const AT_ONCE = ['--repl-diskless-sync-delay', '0'];

/** A master and its replica, and one address that leads to either of them, as a DNS name does. */
export class ReplicatedRedis {
  private constructor(
    readonly servers: readonly [TestRedis, TestRedis],
    private readonly name: TcpProxy,
  ) {}

  static async start(): Promise<ReplicatedRedis> {
    const servers = await Promise.all([startTestRedis(...AT_ONCE), startTestRedis(...AT_ONCE)] as const);
    const name = await TcpProxy.start(servers[0].url);
    const pair = new ReplicatedRedis(servers, name);
    await replicate(servers[1], servers[0]);
    return pair;
  }

  get url(): string {
    return this.name.url;
  }

  /** Makes the first server the second's replica. Connections through the name stay with the first. */
  async demote(): Promise<void> {
    const [first, second] = this.servers;
    await tell(second, ['REPLICAOF', 'NO', 'ONE']);
    await tell(first, ['REPLICAOF', '127.0.0.1', String(second.port)]);
  }

  /** Directs new connections through the name to the second server. */
  rename(): void {
    this.name.lead(this.servers[1].url);
  }

  async remove(): Promise<void> {
    await this.name.down();
    await Promise.all(this.servers.map((server) => server.remove()));
  }
}

/** Sends one command on its own connection. */
export async function tell(server: { readonly url: string }, command: readonly string[]): Promise<unknown> {
  const client = createClient({ url: server.url, socket: { reconnectStrategy: false } });
  // A server that changes its role closes its connections. The command itself also rejects with this error.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await client.sendCommand([...command]);
  } finally {
    if (client.isOpen) client.destroy();
  }
}

/** Makes one server a replica of the other, and waits until it has the data. */
export async function replicate(replica: TestRedis, master: TestRedis): Promise<void> {
  await tell(replica, ['REPLICAOF', '127.0.0.1', String(master.port)]);
  const linked = await until('the replica has its master’s data', async () =>
    String(await tell(replica, ['INFO', 'replication'])).includes('master_link_status:up'),
  );
  assert.ok(linked);
}
