import { type ChildProcess, fork } from 'node:child_process';
import readline from 'node:readline';
import type { Events } from '../core/events';

export type { ChildProcess };

/**
 * How each child is connected: stray output by pipes to the primary, IPC, and the primary's own standard output as fd 4
 * for the child's log, which is written without a detour.
 */
export const CHILD_STDIO = ['ignore', 'pipe', 'pipe', 'ipc', 1] as const;

/**
 * Node flags of a child: a small young generation costs nothing measurable and saves 10 MiB a process.
 * @param heapMb how large its heap may grow; null for Node's own choice.
 */
export function childFlags(heapMb: number | null): string[] {
  const cap = heapMb === null ? [] : [`--max-old-space-size=${heapMb}`];
  return [...new Set([...process.execArgv, '--max-semi-space-size=4', ...cap])];
}

/** Starts this same entry file in another role. */
export function forkEntry(heapMb: number | null, role: string, ...args: string[]): ChildProcess {
  const [, entry] = process.argv;
  if (entry === undefined) throw new Error('no entry file: start Catamount with `node server.js`');
  return fork(entry, [role, ...args], { execArgv: childFlags(heapMb), stdio: [...CHILD_STDIO] });
}

/** The role that runs jobs. */
export const PROCESSOR_ROLE = 'processor';

/** The role that renders previews of mails. */
export const PREVIEWS_ROLE = 'previews';

/** Starts this same entry file beside a web worker; what it prints goes where the worker's goes. */
export function forkBeside(role: string): ChildProcess {
  const [, entry] = process.argv;
  if (entry === undefined) throw new Error('no entry file: start Catamount with `node server.js`');
  return fork(entry, [role], { execArgv: childFlags(null), stdio: ['ignore', 1, 2, 'ipc'] });
}

/** Runs the entry file in a role that ends by itself. @returns its exit code; a death by signal counts as 1. */
export function runEntry(role: string, events: Events): Promise<number> {
  const child = forkEntry(null, role);
  reportOutput(child, role, events);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // Not `exit`: its last lines come before.
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** How many of the last lines are kept. */
const LAST_LINES = 5;

/**
 * Reports what the child prints past its log (a `console.log`, a crash's stack), line by line, down to the last.
 * @returns the last lines it wrote to standard error: the list goes on changing.
 */
export function reportOutput(child: ChildProcess, name: string, events: Events): readonly string[] {
  const errors: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    readline.createInterface({ input: stream }).on('line', (line) => {
      events.emit('child.output', { child: name, line });
      if (stream !== child.stderr || line.trim() === '') return;
      errors.push(line);
      if (errors.length > LAST_LINES) errors.shift();
    });
  }
  return errors;
}
