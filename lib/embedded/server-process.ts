import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { environment } from '../core/config';

// All processes of this folder are started here, and no other file in it imports `child_process`.

export interface Command {
  /** The program and its arguments. */
  readonly argv: readonly string[];
  /** The user to run as; only root can change it. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface ServerProcess {
  readonly pid: number;
  gone(): boolean;
  /** How it has ended, for messages. */
  ending(): string;
  readonly exited: Promise<void>;
}

/**
 * Starts a server in a session of its own, so that Ctrl-C in the terminal does not end it before its clients.
 * @param onPid called synchronously after the spawn, so that this process cannot end in between.
 * @throws Error if the program cannot be run.
 */
export async function launch(command: Command, logFile: string, onPid: (pid: number) => void): Promise<ServerProcess> {
  const log = fs.openSync(logFile, 'a');
  try {
    if (command.user) fs.fchownSync(log, command.user.uid, command.user.gid);
    const [program = '', ...args] = command.argv;
    const child = spawn(program, args, {
      ...command.user,
      detached: true,
      stdio: ['ignore', log, log],
      env: serverEnvironment(),
      cwd: '/',
    });
    if (child.pid === undefined) throw (await once(child, 'error'))[0];
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    onPid(child.pid);
    child.unref();
    return {
      pid: child.pid,
      gone: () => child.exitCode !== null || child.signalCode !== null,
      ending: () => (child.signalCode ? `was ended by ${child.signalCode}` : `exited with code ${child.exitCode}`),
      exited,
    };
  } finally {
    fs.closeSync(log);
  }
}

/** Runs a program to its end. Rejects with an error whose `stderr` gives the reason. @returns its standard output. */
export async function run(command: Command, input = ''): Promise<string> {
  const [program = '', ...args] = command.argv;
  const running = promisify(execFile)(program, args, { ...command.user, env: serverEnvironment(), cwd: '/' });
  // A program that never reads its input breaks the pipe. Only its exit code counts.
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(input);
  return (await running).stdout;
}

export interface ScriptProcess {
  readonly input: Writable;
  readonly exited: Promise<unknown>;
}

/**
 * Starts a shell script in a session of its own. Its input is a pipe that closes when this process ends. The script is
 * passed in a variable, so that the process list shows its name and arguments instead of its text.
 */
export function runScript(script: string, name: string, args: readonly string[]): ScriptProcess {
  const child = spawn('/bin/sh', ['-c', 'eval "$SCRIPT"', name, ...args], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...serverEnvironment(), SCRIPT: script },
    cwd: '/',
  });
  const exited = Promise.race([once(child, 'exit'), once(child, 'error')]).catch(() => undefined);
  child.stdin.on('error', () => undefined);
  child.unref();
  // The pipe to a child is a socket, which must not keep this process alive.
  if ('unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref();
  return { input: child.stdin, exited };
}

/** Excludes the app's environment, which may contain secrets, and variables that servers read (PGPORT, PGDATA). */
function serverEnvironment(): Record<string, string> {
  return { PATH: environment().PATH ?? '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

/** Linux has /proc; other systems have `ps`. */
const hasProc = fs.existsSync('/proc/self/stat');

/** @returns true while the process runs. Zombies count as gone, since in some containers nothing reaps them. */
export function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const state = statFields(pid)?.[0];
  return state !== 'Z' && state !== 'X';
}

/** The start time of a process, as opaque text. Together with the pid it identifies a process even after pid reuse. */
export async function startedAt(pid: number): Promise<string | undefined> {
  if (hasProc) return statFields(pid)?.[19];
  return (await ps(pid, 'lstart=')) || undefined;
}

/** @returns true if `argument` is among the arguments of the process. */
export async function hasArgument(pid: number, argument: string): Promise<boolean> {
  if (hasProc) return readProc(pid, 'cmdline')?.split('\0').includes(argument) ?? false;
  return ` ${await ps(pid, 'command=')} `.includes(` ${argument} `);
}

/**
 * @returns the fields of /proc/<pid>/stat from the third on, the state. The second is a name that may contain spaces.
 */
function statFields(pid: number): string[] | undefined {
  const stat = hasProc ? readProc(pid, 'stat') : undefined;
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

async function ps(pid: number, column: string): Promise<string> {
  return (await run({ argv: ['ps', '-ww', '-o', column, '-p', String(pid)] }).catch(() => '')).trim();
}

/** The SSLRequest message of Postgres, which the server answers with one letter before any authentication. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const WAIT_MS = 1000;

export async function postgresAnswers(port: number): Promise<boolean> {
  return /^[NS]/.test(await ask(port, SSL_REQUEST, 1));
}

/** @returns true once Redis has loaded its data; until then it answers PING with an error. */
export async function redisAnswers(port: number, password?: string): Promise<boolean> {
  if (password === undefined) return (await ask(port, 'PING\r\n', 1)).startsWith('+PONG');
  return (await ask(port, `AUTH ${password}\r\nPING\r\n`, 2)).startsWith('+OK\r\n+PONG');
}

/**
 * Sends a request. @returns the first chunk of the answer if `lines` is 1, else that many lines; less if the connection
 * ends or times out.
 */
function ask(port: number, question: Buffer | string, lines: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(question));
    let answer = '';
    const finish = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(WAIT_MS, finish);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (lines === 1 || answer.split('\r\n').length > lines) finish();
    });
    socket.once('error', finish);
    socket.once('close', finish);
  });
}

/** @param preferred used if it is free, so that a folder's servers keep their ports from run to run. */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && preferred > 0) {
    const port = await tryPort(preferred).catch(() => undefined);
    if (port !== undefined) return port;
  }
  return tryPort(0);
}

function tryPort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}
