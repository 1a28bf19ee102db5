import { execFileSync } from 'node:child_process';
import { processesOfRun } from '../../support/run-processes';

/** @returns the numbers of the cores that this process may use; one entry if `taskset` is not installed. */
export function ownCores(): readonly number[] {
  const list = taskset('--cpu-list', '--pid', String(process.pid));
  const [, ranges = '0'] = /list: ([\d,-]+)\s*$/.exec(list ?? '') ?? [];
  return ranges.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, n) => first + n);
  });
}

/**
 * Confines this process and everything that the run has started (stores, mail server, loader), with all their future
 * children, to some cores, so that they take no CPU time from a tree on the others.
 */
export function keepOurselvesOn(cores: readonly number[]): void {
  for (const pid of [process.pid, ...processesOfRun().map((row) => row.pid)])
    taskset('--all-tasks', '--cpu-list', '--pid', cores.join(), String(pid));
}

/** @returns the output of `taskset`; undefined if it is not installed or the process has ended. */
function taskset(...args: readonly string[]): string | undefined {
  try {
    return execFileSync('taskset', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}
