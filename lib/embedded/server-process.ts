import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { environment } from '../core/environment';

/** The only importer of `child_process` in this folder. */

export interface Command {
  /** The program, then its arguments. */
  readonly argv: readonly string[];
  /** Become this user first; only root can. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

/** A server as its owner sees it, whether this process started it or a former run did. */
export interface ServerProcess {
  readonly pid: number;
  gone(): boolean;
}

/**
 * Starts a server in a session of its own, so that Ctrl-C in the terminal does not end it before those who use it.
 * @param onPid called in the same turn as the start, so that no end of this process can fall between.
 */
export async function launch(
  command: Command,
  logFile: string,
  onPid: (pid: number) => void,
): Promise<ServerProcess & { readonly ending: () => string }> {
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
    onPid(child.pid);
    child.unref();
    return {
      pid: child.pid,
      gone: () => child.exitCode !== null || child.signalCode !== null,
      ending: () => (child.signalCode ? `was ended by ${child.signalCode}` : `exited with code ${child.exitCode}`),
    };
  } finally {
    fs.closeSync(log);
  }
}

/** Runs a program to its end. Rejects with an error whose `stderr` tells why. @returns its standard output. */
export async function run(command: Command, input = ''): Promise<string> {
  const [program = '', ...args] = command.argv;
  const running = promisify(execFile)(program, args, { ...command.user, env: serverEnvironment(), cwd: '/' });
  // A program that never reads its input breaks the pipe; its exit code says what matters.
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(input);
  return (await running).stdout;
}

export interface ScriptProcess {
  readonly input: Writable;
  readonly exited: Promise<unknown>;
}

/**
 * A shell script in a session of its own that reads from this process; its input ends when this process does. The
 * script travels in a variable, so that a list of processes shows its name and arguments instead of its text.
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
  // A pipe to a child is a socket; it must not keep this process alive.
  if ('unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref();
  return { input: child.stdin, exited };
}

/** Nothing of the app's environment, which may hold secrets and variables that servers heed (PGPORT, PGDATA). */
function serverEnvironment(): Record<string, string> {
  return { PATH: environment().PATH ?? '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
