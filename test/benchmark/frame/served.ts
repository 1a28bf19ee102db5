import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../../lib/embedded/free-port';
import { tempFolder } from '../../support/temp-folder';
import { treeOf } from './process-tree';
import { ROOT } from './store';

const READY_MS = 60_000;
const STOP_MS = 40_000;

export interface ServeOptions {
  /** After `node`. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** It is ready when this is answered with 200. Default `/health`. */
  readonly readyPath?: string;
}

/** A server to be measured, with all its processes. What it prints to standard output is thrown away. */
export class Served {
  private readonly exited: Promise<unknown>;

  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    /** From its start until the first 200. */
    readonly bootMs: number,
    private readonly errors: string,
  ) {
    this.exited = hasExited(child) ? Promise.resolve() : once(child, 'exit');
  }

  /** Resolves with the first 200. It finds its port in PORT. */
  static async start({ args, env = {}, readyPath = '/health' }: ServeOptions): Promise<Served> {
    const cwd = tempFolder('served');
    const errors = path.join(cwd, 'stderr');
    const port = await freePort();
    const fd = fs.openSync(errors, 'a');
    const begun = performance.now();
    const child = spawn(process.execPath, args, {
      cwd,
      stdio: ['ignore', 'ignore', fd],
      env: {
        ...inherited(),
        CATAMOUNT_BENCH_ROOT: ROOT,
        NODE_ENV: 'production',
        HOST: '127.0.0.1',
        PORT: String(port),
        ...env,
      },
    });
    fs.closeSync(fd);
    const url = `http://127.0.0.1:${port}`;
    while ((await statusOf(url + readyPath)) !== 200) {
      if (hasExited(child) || performance.now() - begun > READY_MS) {
        child.kill('SIGKILL');
        throw new Error(`node ${args.join(' ')} did not come up:\n${fs.readFileSync(errors, 'utf8').slice(-2000)}`);
      }
      // It is looked for often, so that the figure is exact, but not so often as to be in its way.
      await wait(2);
    }
    return new Served(child, url, performance.now() - begun, errors);
  }

  get pids(): number[] {
    return treeOf(this.child.pid ?? 0);
  }

  /** Asks it to end, and sees to it that nothing of it is left. @throws when it does not end in time. */
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

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Nothing of this shell's own settings. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'CATAMOUNT_TEST_RUN'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name] ?? '']] : [])));
}

/** On a connection of its own. undefined when nobody answers. */
function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = http.get(url, { agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
