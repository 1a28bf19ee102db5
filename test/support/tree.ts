import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import type net from 'node:net';
import path from 'node:path';
import { type Answer, type RequestOptions, request } from './http';
import { type Line, type LineMatch, Output } from './output';
import { descendants, hasVariable, type ProcessRow, processes } from './processes';
import { removeFolder, tempFolder } from './temp-folder';
import { byRole, type TreeProcesses } from './tree-processes';
import { until } from './until';
import { WAIT_LIMIT_MS } from './wait-limit';

const ROOT = path.resolve(__dirname, '../..');
/** Environment variable that identifies a tree's processes even when they are reparented. */
const MARK = 'CATAMOUNT_TEST_TREE';

export interface TreeOptions {
  /** Overrides the defaults; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: a new folder, so that the tree has its own `.catamount`; `cleanup()` removes it. */
  readonly cwd?: string;
  readonly args?: readonly string[];
  /** The program that starts the tree. Default: `node`, as in the Procfile. */
  readonly via?: 'node' | 'npm';
  /** Headers of every `request`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The user to run as, which requires root. */
  readonly uid?: number;
  /** Listening sockets that the process gets as file descriptors 3, 4 and so on. */
  readonly sockets?: readonly net.Server[];
  /** Path of the node binary. Default: that of this process. */
  readonly node?: string;
  /** Default: the build's `dist/server.js`. */
  readonly entry?: string;
}

export interface TreeEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly durationMs: number;
}

let count = 0;

/** A process tree of the built product, started as a user starts it. */
export class Tree {
  readonly cwd: string;
  readonly exited: Promise<Omit<TreeEnd, 'durationMs'>>;
  private readonly child: ChildProcess;
  private readonly output: Output;
  private readonly mark = `${process.pid}-${++count}`;
  private readonly ownsCwd: boolean;
  private readonly headers: TreeOptions['headers'];
  private address: string | undefined;
  private closed = false;

  constructor(options: TreeOptions) {
    const {
      uid,
      args = [],
      via = 'node',
      entry = path.join(ROOT, 'dist/server.js'),
      node = process.execPath,
      sockets = [],
    } = options;
    this.ownsCwd = options.cwd === undefined;
    this.headers = options.headers;
    this.cwd = options.cwd ?? tempFolder('tree');
    if (uid !== undefined) fs.chownSync(this.cwd, uid, uid);
    if (via === 'npm') writePackage(this.cwd, entry);
    const [program, ...rest] = via === 'npm' ? ['npm', 'start', '--silent', '--', ...args] : [node, entry, ...args];
    this.child = spawn(program ?? '', rest, {
      cwd: this.cwd,
      stdio: ['ignore', 'pipe', 'pipe', ...(sockets as unknown as net.Socket[])],
      env: {
        ...environmentOf(options.env),
        // npm writes its files to HOME, which has to belong to the user.
        ...(uid === undefined ? {} : { HOME: this.cwd }),
        [MARK]: this.mark,
      },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.output = new Output(this.child);
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.closed = true;
      return { code, signal };
    });
  }

  /** The pid of the started process: the primary, or npm if that starts it. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  get lines(): readonly Line[] {
    return this.output.lines;
  }

  get baseUrl(): string {
    if (this.address === undefined) throw new Error('the tree is not ready yet: await tree.ready() first');
    return this.address;
  }

  get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Resolves when the tree listens. Rejects with its last lines if it exits first. */
  async ready(): Promise<this> {
    const pattern = /Listening on (https?:\/\/[^\s,"]+)/;
    const line = await this.waitForLine(pattern);
    this.address = pattern.exec(line.text)?.[1];
    return this;
  }

  /** @param options.from `tree.lines.length`, for new lines only. */
  async waitForLine(match: LineMatch, options: { readonly from?: number } = {}): Promise<Line> {
    return this.output.waitFor(match, { ...options, ended: () => this.closed }).catch((error: Error) => {
      if (this.hasExited) error.message += `\nIt ended by ${this.child.signalCode ?? `code ${this.child.exitCode}`}.`;
      throw error;
    });
  }

  /** Stops reading its stdout, so that the pipe fills up, until the returned function is called. */
  stopReading(): () => void {
    this.child.stdout?.pause();
    return () => void this.child.stdout?.resume();
  }

  linesMatching(match: LineMatch): Line[] {
    return this.output.matching(match);
  }

  processes(): TreeProcesses {
    return byRole(this.leftovers());
  }

  request(method: string, target: string, options: Omit<RequestOptions, 'method'> = {}): Promise<Answer> {
    const headers = { ...this.headers, ...options.headers };
    return request(new URL(target, this.baseUrl).href, { ...options, headers, method });
  }

  /** Sends a signal to the started process and waits until it exits. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<TreeEnd> {
    const begun = performance.now();
    this.child.kill(signal);
    return { ...(await this.end()), durationMs: Math.round(performance.now() - begun) };
  }

  /** Waits until the started process exits, whatever the cause. */
  async end(): Promise<Omit<TreeEnd, 'durationMs'>> {
    await until('the tree has exited', () => this.hasExited).catch(() => {
      throw new Error(
        `The tree, pid ${this.pid}, has not exited in ${WAIT_LIMIT_MS} ms. Last lines:\n${this.output.tail()}`,
      );
    });
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }

  /** Kills all of its processes at once, as when a machine fails, so that none can notice the death of another. */
  killAll(): void {
    for (const { pid } of this.leftovers()) end(pid, 'SIGKILL');
  }

  /** Sends a signal to each of its processes, the youngest first. */
  signalAll(signal: NodeJS.Signals): void {
    for (const { pid } of this.leftovers().sort((a, b) => b.pid - a.pid)) end(pid, signal);
  }

  /** Kills the primary with SIGKILL, which leaves its servers to the keeper. */
  async kill9(): Promise<void> {
    process.kill(this.processes().primary ?? this.pid, 'SIGKILL');
    await this.end();
  }

  /** @returns the live processes of the tree: its descendants, and those with its mark or its state folder. */
  leftovers(): ProcessRow[] {
    const rows = processes();
    // After the exit the system may have reused the pid.
    const family = this.hasExited ? [] : [this.pid, ...descendants(this.pid, rows).map((row) => row.pid)];
    const kin = new Set(family);
    const state = path.join(this.cwd, '.catamount');
    return rows.filter(
      (row) => kin.has(row.pid) || row.command.includes(state) || hasVariable(row.pid, `${MARK}=${this.mark}`),
    );
  }

  /** Resolves when no process of the tree is alive. */
  async allGone(): Promise<void> {
    const none = () => this.leftovers().length === 0;
    await until('no process of the tree is alive', none).catch(() => {
      const list = this.leftovers().map((row) => `${row.pid} ${row.command.slice(0, 120)}`);
      throw new Error(`Left of the tree after ${WAIT_LIMIT_MS} ms:\n${list.join('\n')}`);
    });
  }

  /** Kills all remaining processes and removes the tree's own folder. Safe in any state, and safe to call twice. */
  async cleanup(): Promise<void> {
    for (const row of this.leftovers()) {
      // On SIGQUIT Postgres ends its child processes at once; SIGKILL would orphan them.
      end(row.pid, /\/postgres -D /.test(row.command) ? 'SIGQUIT' : 'SIGKILL');
    }
    await this.allGone();
    if (this.ownsCwd) removeFolder(this.cwd);
  }
}

/** Starts a tree without waiting until it serves, for starts that fail. */
export function spawnTree(options: TreeOptions = {}): Tree {
  return new Tree(options);
}

/** Starts a tree and waits until it serves. A tree that does not start is cleaned up before this rejects. */
export async function startTree(options: TreeOptions = {}): Promise<Tree> {
  const tree = new Tree(options);
  try {
    return await tree.ready();
  } catch (error) {
    await tree.cleanup();
    throw error;
  }
}

/** @returns the given variables, the defaults, and those of this process's variables that every program needs. */
function environmentOf(given: TreeOptions['env'] = {}): Record<string, string> {
  const inherited = ['PATH', 'HOME', 'TMPDIR', 'NODE_V8_COVERAGE', 'CATAMOUNT_TEST_RUN'];
  const own = inherited.map((name) => [name, process.env[name]] as const);
  const defaults = { PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: 'json', NODE_ENV: 'development' };
  const entries = Object.entries({ ...Object.fromEntries(own), ...defaults, ...given });
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** Writes a package.json with our own `npm start`, whose entry is absolute, since it runs in another folder. */
function writePackage(folder: string, entry: string): void {
  const { scripts } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: { readonly start: string };
  };
  const start = scripts.start.replace('dist/server.js', entry);
  fs.writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'tree', private: true, scripts: { start } }),
  );
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
