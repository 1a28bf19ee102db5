import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { environment } from '../core/config';
import type { Events } from '../core/events';
import type { ConnectionHandle } from '../internals/socket-handoff';
import { readOutput } from './child-output';

export type { ChildProcess };

/** What the primary needs of a child: a process that it has forked, or a part of its own process. */
export interface Child {
  readonly pid?: number | undefined;
  readonly connected: boolean;
  readonly stdout: ChildProcess['stdout'];
  readonly stderr: ChildProcess['stderr'];
  send(message: object, connection?: unknown, options?: object, sent?: () => void): unknown;
  on(event: 'message', listener: (message: unknown, connection: unknown) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  once(event: 'exit', listener: (code: number | null, signal: string | null) => void): unknown;
  kill(signal: NodeJS.Signals): boolean;
}

/**
 * Connections of a child. Stray output goes by pipes to the primary, messages by IPC. The primary's own standard output is fd
 * 4, to which the child writes its log directly.
 */
export const CHILD_STDIO = ['ignore', 'pipe', 'pipe', 'ipc', 1] as const;

/**
 * Node flags of a child: a small young generation costs nothing measurable and saves 10 MiB per process.
 * @param heapMb maximum size of its old generation; null for Node's default.
 */
export function childFlags(heapMb: number | null): string[] {
  const cap = heapMb === null ? [] : [`--max-old-space-size=${heapMb}`];
  const inspector = isInspected() ? [] : INSPECTOR_FLAGS;
  return [...new Set([...process.execArgv, '--max-semi-space-size=4', ...cap, ...inspector])];
}

/** If a child's inspector is opened, then on a free port of this machine, with an id that only its standard error names. */
const INSPECTOR_FLAGS = ['--inspect-port=127.0.0.1:0', '--inspect-publish-uid=stderr'];

/** true: a developer has given the tree options of the inspector, which is left to them. */
export function isInspected(): boolean {
  return nodeOptions().some((option) => option.startsWith('--inspect'));
}

/** The options of Node that every process of the tree inherits. */
export function nodeOptions(): readonly string[] {
  return [...process.execArgv, ...(environment().NODE_OPTIONS?.split(/\s+/) ?? [])];
}

/** Forks this same entry file in another role. */
export function forkEntry(heapMb: number | null, role: string, ...args: string[]): ChildProcess {
  const [, entry] = process.argv;
  if (entry === undefined) throw new Error('no entry file: start Catamount with `node server.js`');
  return fork(entry, [role, ...args], { execArgv: childFlags(heapMb), stdio: [...CHILD_STDIO] });
}

/**
 * Starts this same command line, by the Node.js that its first word leads to now, on our own standard input, output and error.
 * @param sockets its file descriptors 3, 4 and so on.
 */
export function spawnAgain(
  env: Readonly<Record<string, string | undefined>>,
  sockets: readonly ConnectionHandle[],
): ChildProcess {
  return spawn(process.argv0, [...process.execArgv, ...process.argv.slice(1)], {
    env,
    // Node's types allow streams and numbers only, but it also takes a bare handle.
    stdio: ['inherit', 'inherit', 'inherit', ...(sockets as unknown as Socket[]), 'ipc'],
  });
}

/** Time limit for a program of the system, ms. */
const TOOL_MS = 5000;

/** Runs a program of the system. @throws (rejects) if there is none, if it fails, or does not end in time. */
export async function runTool(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  await promisify(execFile)(program, args, { env: { ...environment(), ...env }, timeout: TOOL_MS });
}

/** Forks this same entry file from a web worker, whose standard output and error it shares. */
export function forkBeside(role: string): ChildProcess {
  const [, entry] = process.argv;
  if (entry === undefined) throw new Error('no entry file: start Catamount with `node server.js`');
  return fork(entry, [role], { execArgv: childFlags(null), stdio: ['ignore', 1, 2, 'ipc'] });
}

/**
 * Runs the entry file in a role that ends by itself.
 * @param options.onFork gets the process. @param options.onMessage gets what it sends.
 * @param options.timeoutMs it is killed if it has sent nothing by then, and has not ended. Default: never.
 * @returns its exit code, or the signal that ended it; `late` when it was killed at the time limit.
 */
export function runEntry(
  role: string,
  events: Events,
  {
    onFork = () => undefined,
    onMessage = () => undefined,
    timeoutMs,
  }: {
    readonly onFork?: (child: ChildProcess) => void;
    readonly onMessage?: (message: unknown) => void;
    readonly timeoutMs?: number;
  } = {},
): Promise<number | NodeJS.Signals | 'late'> {
  const child = forkEntry(null, role);
  onFork(child);
  child.on('message', onMessage);
  reportOutput(child, role, events);
  return new Promise((resolve, reject) => {
    // A process that a module of the app blocks would not notice that this one has ended.
    const kill = () => child.kill('SIGKILL');
    let late = false;
    const onTimeout = () => {
      late = kill();
      // Processes that it has started may keep its output open, and `close` would wait for them.
      for (const stream of [child.stdout, child.stderr]) stream?.destroy();
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs);
    child.once('message', () => clearTimeout(timer));
    if (timer) process.once('exit', kill);
    child.once('error', reject);
    // Only after `close` has all its output been read; `exit` comes earlier.
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve(late ? 'late' : (code ?? signal ?? 1));
    });
  });
}

/** Number of lines of standard error that are kept. */
const LAST_LINES = 5;

/** Lines of a crash that name no cause: its frames, and what Node draws and prints around them. */
const FRAME = /^\s+at |^\s*\^+$|^Node\.js v|^node:internal/;

/** What Node prints on standard error about its inspector. */
const OF_INSPECTOR =
  /^(Debugger (attached\.|(listening|ending) on (?<url>ws:\/\/127\.0\.0\.1:\d+\/[\w-]+))|For help, see: https:\/\/nodejs\.org\/|Waiting for the debugger to disconnect)/;

/**
 * Emits `child.output` for each line that the child prints outside its log, such as a `console.log` or the stack of a crash.
 * Emits `child.record` for a line that its app's own logger wrote. The reader is loaded with the first output.
 * @param onInspector gets the address of the child's inspector whenever that is opened, and null when the child wants to exit and
 * waits for those who use it. Default: what Node says of it is output like any other.
 * @returns the last lines of the child's standard error, without frames of stacks, a list that is kept up to date.
 */
export function reportOutput(
  child: Pick<ChildProcess, 'stdout' | 'stderr'>,
  name: string,
  events: Events,
  onInspector?: (url: string | null) => void,
): readonly string[] {
  const errors: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.once('data', (first: Buffer) => {
      readOutput(stream, first, (line, isLogRecord) => {
        const ofInspector = onInspector && stream === child.stderr ? OF_INSPECTOR.exec(line) : null;
        if (ofInspector) {
          const { url } = ofInspector.groups ?? {};
          if (url !== undefined && line.includes('listening')) onInspector?.(url);
          if (line.startsWith('Waiting')) onInspector?.(null);
          return;
        }
        if (isLogRecord) events.emit('child.record', { line });
        else events.emit('child.output', { child: name, line });
        if (stream !== child.stderr || line.trim() === '' || FRAME.test(line)) return;
        errors.push(line);
        if (errors.length > LAST_LINES) errors.shift();
      });
    });
  }
  return errors;
}
