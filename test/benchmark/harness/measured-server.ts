import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { request } from '../../support/http';
import { descendants } from '../../support/processes';
import { serverPort } from '../../support/server-port';
import { UNLIMITED } from '../../support/sign-up-limits';
import { tempFolder } from '../../support/temp-folder';
import { ROOT } from './product';

const READY_MS = 60_000;
const STOP_MS = 40_000;
/** A clock tick of /proc/<pid>/stat, ms: USER_HZ is a constant of the kernel's interface. */
const TICK_MS = 10;

export type Env = Readonly<Record<string, string>>;

export interface ServerOptions {
  /** Default: `node`. */
  readonly command?: string;
  readonly args: readonly string[];
  readonly env?: Env;
  /** The server is ready when this path answers 200. Default: `/health`. */
  readonly readyPath?: string;
}

/** A server to measure, with all its processes. Its standard output is discarded. */
export class MeasuredServer {
  private readonly exited: Promise<unknown>;

  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    /** Time from its start until the first 200, ms. */
    readonly bootMs: number,
    private readonly errors: string,
  ) {
    this.exited = hasExited(child) ? Promise.resolve() : once(child, 'exit');
  }

  /** Starts a server, which gets its port in PORT, and resolves with the first 200. */
  static async start({
    command = process.execPath,
    args,
    env = {},
    readyPath = '/health',
  }: ServerOptions): Promise<MeasuredServer> {
    const cwd = tempFolder('served');
    const errors = path.join(cwd, 'stderr');
    const port = await serverPort();
    const fd = fs.openSync(errors, 'a');
    const begun = performance.now();
    const child = spawn(command, args, {
      cwd,
      stdio: ['ignore', 'ignore', fd],
      env: {
        ...inherited(),
        CATAMOUNT_BENCH_ROOT: ROOT,
        NODE_ENV: 'production',
        HOST: '127.0.0.1',
        PORT: String(port),
        ...UNLIMITED,
        ...env,
      },
    });
    fs.closeSync(fd);
    const url = `http://127.0.0.1:${port}`;
    const status = () =>
      request(url + readyPath, { timeoutMs: 5000 }).then(
        (answer) => answer.status,
        () => undefined,
      );
    while ((await status()) !== 200) {
      if (hasExited(child) || performance.now() - begun > READY_MS) {
        child.kill('SIGKILL');
        throw new Error(
          `${command} ${args.join(' ')} did not come up:\n${fs.readFileSync(errors, 'utf8').slice(-2000)}`,
        );
      }
      // Short enough for an exact figure, long enough not to slow down the start.
      await wait(2);
    }
    return new MeasuredServer(child, url, performance.now() - begun, errors);
  }

  /** Pids of its own process and all its descendants. */
  get pids(): number[] {
    const { pid = 0 } = this.child;
    return [pid, ...descendants(pid).map((row) => row.pid)];
  }

  /** Sends SIGTERM and waits until its process is gone. @throws Error when it had to be killed after STOP_MS. */
  async stop(): Promise<void> {
    const late = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    this.child.kill('SIGTERM');
    await this.exited;
    clearTimeout(late);
    if (this.child.signalCode === 'SIGKILL') {
      throw new Error(`${this.child.spawnargs.join(' ')} did not end:\n${fs.readFileSync(this.errors, 'utf8')}`);
    }
  }
}

/** Starts the tree of `npm start` and waits for its `readyPath`. @param root another checkout's, which is built. */
export function startTree(env: Env, root = ROOT, readyPath = '/ready'): Promise<MeasuredServer> {
  return MeasuredServer.start({ args: [path.join(root, 'dist/server.js')], env, readyPath });
}

/** CPU time that the processes have used so far, user and system, ms. Linux only. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (exactCpuMs(pid) ?? countedCpuMs(pid)), 0);
}

/** CPU time of the live threads, exact to the ns. undefined where the kernel has no schedstat. */
function exactCpuMs(pid: number): number | undefined {
  const folder = `/proc/${pid}/task`;
  const stats = (readIfThere(() => fs.readdirSync(folder)) ?? []).map((thread) =>
    read(`${folder}/${thread}/schedstat`),
  );
  if (stats.every((stat) => stat === '')) return undefined;
  return stats.reduce((sum, stat) => sum + Number(stat.split(' ')[0]) / 1e6, 0);
}

/** CPU time in steps of TICK_MS. */
function countedCpuMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS;
}

export interface Memory {
  readonly rssMb: number;
  /** Private pages and a proportional share of shared ones, so that the sum over a tree is the memory of the tree. */
  readonly pssMb: number;
}

/** The sums over the processes, MiB. Linux only. */
export function memoryOf(pids: readonly number[]): Memory {
  let [rss, pss] = [0, 0];
  for (const pid of pids) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    const kb = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
    rss += kb('Rss');
    pss += kb('Pss');
  }
  return { rssMb: rss / 1024, pssMb: pss / 1024 };
}

/** The file's text; empty when its process is gone. */
function read(file: string): string {
  return readIfThere(() => fs.readFileSync(file, 'utf8')) ?? '';
}

function readIfThere<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** The variables that any program needs, so that other settings of the shell do not reach a measured server. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'CATAMOUNT_TEST_RUN'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name] ?? '']] : [])));
}
