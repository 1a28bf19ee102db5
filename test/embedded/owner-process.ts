import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '../support/until';

const ROOT = path.resolve(__dirname, '../..');
const FIXTURE = path.join(ROOT, 'test/fixtures/embedded/hold-servers.ts');

type Line = Readonly<Record<string, unknown>>;

export interface OwnerOptions {
  /** Time for which the servers outlive the owner when it is killed, ms. */
  readonly graceMs?: number;
  /** Deadline of its stop, ms. */
  readonly stopMs?: number;
  /** The servers that it starts. */
  readonly which?: 'both' | 'redis';
  readonly uid?: number;
}

/** A separate process that owns the embedded servers of a folder. */
export class OwnerProcess {
  readonly lines: Line[] = [];

  private constructor(private readonly child: ChildProcess) {
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.lines.push(JSON.parse(line) as Line));
  }

  static start(stateDir: string, options: OwnerOptions = {}): OwnerProcess {
    const { graceMs = 0, stopMs = 60_000, which = 'both', uid } = options;
    const args = [stateDir, String(graceMs), String(stopMs), which];
    const child = spawn(process.execPath, ['--import', 'tsx', FIXTURE, ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TSX_DISABLE_CACHE: '1' },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    return new OwnerProcess(child);
  }

  /** Waits until the servers run. @returns their URLs. @throws Error with the reason if they do not start. */
  async ready(): Promise<{ readonly databaseUrl: string; readonly redisUrl: string }> {
    const done = () => this.lines.find((line) => line.ready || line.error);
    const line = await until('the owner process is ready', done);
    if (line.error) throw new Error(`${line.error}: ${line.message}`);
    return { databaseUrl: String(line.databaseUrl), redisUrl: String(line.redisUrl) };
  }

  /** The pid of a server that it started. */
  serverPid(server: 'postgres' | 'redis'): number {
    const line = this.lines.find((entry) => entry.event === 'embedded.started' && entry.server === server);
    if (line === undefined) throw new Error(`${server} has not started`);
    return Number(line.pid);
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  async kill9(): Promise<void> {
    await this.end('SIGKILL');
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
  }
}
