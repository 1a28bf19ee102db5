import { execFileSync } from 'node:child_process';
import { processesOfRun } from '../../support/run-processes';

/** @returns the numbers of the cores that this process may use; one entry where there is no `taskset` to ask. */
export function ownCores(): readonly number[] {
  const list = taskset('--cpu-list', '--pid', String(process.pid));
  const [, ranges = '0'] = /list: ([\d,-]+)\s*$/.exec(list ?? '') ?? [];
  return ranges.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, n) => first + n);
  });
}

/**
 * Keeps this process and all that the run has started (stores, mail server, loader) on some cores, and with them whatever
 * they start from now on, so that they take none from a tree that is confined to the others.
 */
export function keepOurselvesOn(cores: readonly number[]): void {
  for (const pid of [process.pid, ...processesOfRun().map((row) => row.pid)])
    taskset('--all-tasks', '--cpu-list', '--pid', cores.join(), String(pid));
}

/** @returns what it prints; undefined where it is not installed, or the process has ended. */
function taskset(...args: readonly string[]): string | undefined {
  try {
    return execFileSync('taskset', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}
