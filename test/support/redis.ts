import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { redisBinary } from '../../lib/embedded/find-binaries';
import { redisAnswers } from '../../lib/embedded/server-process';
import { serverPort } from './server-port';
import { removeFolder, tempFolder } from './temp-folder';
import { until } from './until';

/** A Redis server that a test may stop, kill, freeze and wipe. Its port never changes. */
export class TestRedis {
  private child: ChildProcess | undefined;

  constructor(
    private readonly binary: string,
    readonly folder: string,
    readonly port: number,
    private readonly settings: readonly string[],
  ) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error('this TestRedis is not running');
    return this.child.pid;
  }

  async start(): Promise<void> {
    if (this.child) return;
    const args = ['--bind', '127.0.0.1', '--port', String(this.port), '--dir', this.folder, '--appendonly', 'yes'];
    args.push('--save', '', '--maxmemory-policy', 'noeviction', '--set-proc-title', 'no', ...this.settings);
    const log = fs.openSync(path.join(this.folder, 'redis.log'), 'a');
    const child = spawn(this.binary, args, { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.child = child;
    const ended = () => child.exitCode !== null || child.signalCode !== null;
    await until('the test Redis is ready', async () => ended() || (await redisAnswers(this.port)));
    if (ended()) {
      throw new Error(
        `redis-server exited: ${fs.readFileSync(path.join(this.folder, 'redis.log'), 'utf8').slice(-500)}`,
      );
    }
  }

  /** Shuts it down gracefully. Its data is kept for `restart()`. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** @param options.wipe starts without data, as the smallest managed plans do after every restart. */
  async restart(options: { readonly wipe?: boolean } = {}): Promise<void> {
    await this.end(options.wipe ? 'SIGKILL' : 'SIGTERM');
    // Redis 6.2 writes the second one.
    const data = options.wipe ? ['appendonlydir', 'appendonly.aof'] : [];
    for (const name of data) fs.rmSync(path.join(this.folder, name), { recursive: true, force: true });
    await this.start();
  }

  /** Freezes the server: connections stay open but nothing answers, as when a network drops packets. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** Kills it and removes its data. */
  async remove(): Promise<void> {
    await this.end('SIGKILL');
    removeFolder(this.folder);
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await exited;
  }
}

/** @param settings additional arguments of redis-server, such as `'--maxmemory', '1mb'`. */
export async function startTestRedis(...settings: string[]): Promise<TestRedis> {
  const redis = new TestRedis(await redisBinary(), tempFolder('redis'), await serverPort(), settings);
  await redis.start();
  return redis;
}
