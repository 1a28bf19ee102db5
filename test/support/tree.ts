import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { type Answer, type RequestOptions, request } from './http';
import { type Line, type LineMatch, Output } from './output';
import { descendants, hasVariable, type ProcessRow, processes } from './processes';
import { removeFolder, tempFolder } from './temp-folder';
import { byRole, type TreeProcesses } from './tree-processes';
import { until } from './until';
import { WAIT_LIMIT_MS } from './wait-limit';

const ROOT = path.resolve(__dirname, '../..');
/** Tells a tree's processes from all others, wherever they end up. */
const MARK = 'CATAMOUNT_TEST_TREE';

export interface TreeOptions {
  /** Over the defaults; undefined takes a default away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: a fresh folder, so that the tree has a `.catamount` of its own. It is removed by `cleanup()`. */
  readonly cwd?: string;
  readonly args?: readonly string[];
  /** How it is started. Default `node`, as the Procfile does. */
  readonly via?: 'node' | 'npm';
  /** What each `request` brings along. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Run as this user; only root can. */
  readonly uid?: number;
  /** The node to run it with. Default: this process's. */
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

/** A whole tree of the built product, started as a user starts it. */
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
    } = options;
    this.ownsCwd = options.cwd === undefined;
    this.headers = options.headers;
    this.cwd = options.cwd ?? tempFolder('tree');
    if (uid !== undefined) fs.chownSync(this.cwd, uid, uid);
    if (via === 'npm') writePackage(this.cwd, entry);
    const [program, ...rest] = via === 'npm' ? ['npm', 'start', '--silent', '--', ...args] : [node, entry, ...args];
    this.child = spawn(program ?? '', rest, {
      cwd: this.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...environmentOf(options.env),
        // npm keeps its own files there.
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

  /** The process that was started: the primary, or npm before it. */
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

  /** Resolves when it listens. Rejects with its last lines when it ends before. */
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

  /** From now on nobody reads what it writes, until the result is called. */
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

  /** Sends a signal to the process that was started and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<TreeEnd> {
    const begun = performance.now();
    this.child.kill(signal);
    return { ...(await this.end()), durationMs: Math.round(performance.now() - begun) };
  }

  /** Waits for an end that something else brings about. */
  async end(): Promise<Omit<TreeEnd, 'durationMs'>> {
    await until('the tree has exited', () => this.hasExited).catch(() => {
      throw new Error(
        `The tree, pid ${this.pid}, has not exited in ${WAIT_LIMIT_MS} ms. Last lines:\n${this.output.tail()}`,
      );
    });
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }

  /** Ends the primary as nothing can prepare for. Its servers are left to the keeper. */
  async kill9(): Promise<void> {
    process.kill(this.processes().primary ?? this.pid, 'SIGKILL');
    await this.end();
  }

  /** Everything alive that belongs to the tree: by descent, by the mark it inherited, or by serving its folder. */
  leftovers(): ProcessRow[] {
    const rows = processes();
    // Once it is dead its pid may be anybody's.
    const family = this.hasExited ? [] : [this.pid, ...descendants(this.pid, rows).map((row) => row.pid)];
    const kin = new Set(family);
    const state = path.join(this.cwd, '.catamount');
    return rows.filter(
      (row) => kin.has(row.pid) || row.command.includes(state) || hasVariable(row.pid, `${MARK}=${this.mark}`),
    );
  }

  /** Resolves when nothing of the tree is alive. */
  async allGone(): Promise<void> {
    const none = () => this.leftovers().length === 0;
    await until('nothing of the tree is alive', none).catch(() => {
      const list = this.leftovers().map((row) => `${row.pid} ${row.command.slice(0, 120)}`);
      throw new Error(`Left of the tree after ${WAIT_LIMIT_MS} ms:\n${list.join('\n')}`);
    });
  }

  /** Ends whatever is left and removes the folder that was made for it. Safe to call in any state, and twice. */
  async cleanup(): Promise<void> {
    for (const row of this.leftovers()) {
      // Postgres must take its other processes along, in order or not; KILL would leave them to find out.
      end(row.pid, /\/postgres -D /.test(row.command) ? 'SIGQUIT' : 'SIGKILL');
    }
    await this.allGone();
    if (this.ownsCwd) removeFolder(this.cwd);
  }
}

/** Starts a tree without waiting: for starts that fail. */
export function spawnTree(options: TreeOptions = {}): Tree {
  return new Tree(options);
}

/** Starts a tree and waits until it serves. When it does not come up, it is cleaned up before this rejects. */
export async function startTree(options: TreeOptions = {}): Promise<Tree> {
  const tree = new Tree(options);
  try {
    return await tree.ready();
  } catch (error) {
    await tree.cleanup();
    throw error;
  }
}

/** Nothing of this run's environment but what programs need to run at all. */
function environmentOf(given: TreeOptions['env'] = {}): Record<string, string> {
  const inherited = ['PATH', 'HOME', 'TMPDIR', 'NODE_V8_COVERAGE', 'CATAMOUNT_TEST_RUN'];
  const own = inherited.map((name) => [name, process.env[name]] as const);
  const defaults = { PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: 'json', NODE_ENV: 'development' };
  const entries = Object.entries({ ...Object.fromEntries(own), ...defaults, ...given });
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** A package whose `npm start` is ours, but for the folder it runs in. */
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
    // It went by itself.
  }
}
