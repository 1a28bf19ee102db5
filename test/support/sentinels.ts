import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { redisBinary } from '../../lib/embedded/find-binaries';
import { startTestRedis, type TestRedis } from './redis';
import { AT_ONCE, replicate, tell } from './replicated-redis';
import { serverPort } from './server-port';
import { removeFolder, tempFolder } from './temp-folder';
import { until } from './until';

const MASTER = 'shop';

/** One redis-sentinel process. Its port never changes. */
export class Sentinel {
  private child: ChildProcess | undefined;

  constructor(
    private readonly binary: string,
    private readonly folder: string,
    readonly port: number,
    private readonly password: string | undefined,
  ) {}

  get url(): string {
    return `redis://${this.password === undefined ? '' : `:${this.password}@`}127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const log = fs.openSync(path.join(this.folder, 'sentinel.log'), 'a');
    const args = [path.join(this.folder, 'sentinel.conf'), '--sentinel'];
    this.child = spawn(this.binary, args, { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    await until('the sentinel answers', () => tell(this, ['PING']).catch(() => false));
  }

  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async remove(): Promise<void> {
    await this.kill();
    removeFolder(this.folder);
  }
}

/**
 * A master named `shop`, its replica, and three sentinels that watch them. If the master is down for a second, they
 * promote the replica.
 */
export class WatchedRedis {
  private constructor(
    readonly servers: readonly [TestRedis, TestRedis],
    readonly sentinels: readonly [Sentinel, Sentinel, Sentinel],
    private readonly password: string | undefined,
  ) {}

  /** @param password required by the sentinels; the servers require none. */
  static async start(password?: string): Promise<WatchedRedis> {
    const servers = await Promise.all([startTestRedis(...AT_ONCE), startTestRedis(...AT_ONCE)] as const);
    await replicate(servers[1], servers[0]);
    const one = () => startSentinel(servers[0].port, password);
    const sentinels = [await one(), await one(), await one()] as const;
    const watched = new WatchedRedis(servers, sentinels, password);
    for (const sentinel of sentinels) {
      await until('the sentinel knows the replica and the others', async () => {
        const facts = (await tell(sentinel, ['SENTINEL', 'MASTER', MASTER])) as Readonly<Record<string, string>>;
        return facts['num-slaves'] === '1' && facts['num-other-sentinels'] === '2';
      });
    }
    return watched;
  }

  /** @param master the name of the master in the URL. */
  url(master = MASTER): string {
    const hosts = this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join();
    const query = this.password === undefined ? '' : `?sentinelPassword=${this.password}`;
    return `redis+sentinel://${hosts}/${master}${query}`;
  }

  async remove(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((process) => process.remove()));
  }
}

/**
 * Starts a sentinel that watches the master `shop` on a port. The sentinels of one master find each other.
 * @param epoch the epoch of its configuration: a higher one is newer.
 */
export async function startSentinel(masterPort: number, password?: string, epoch = 0): Promise<Sentinel> {
  const [folder, port] = [tempFolder('sentinel'), await serverPort()];
  const settings = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${MASTER} 1000`,
    `sentinel failover-timeout ${MASTER} 5000`,
    `sentinel config-epoch ${MASTER} ${epoch}`,
    ...(password === undefined ? [] : [`requirepass ${password}`, `sentinel sentinel-pass ${password}`]),
  ];
  fs.writeFileSync(path.join(folder, 'sentinel.conf'), `${settings.join('\n')}\n`);
  const sentinel = new Sentinel(await redisBinary(), folder, port, password);
  await sentinel.start();
  return sentinel;
}
