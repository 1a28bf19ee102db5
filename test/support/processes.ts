import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

export interface ProcessRow {
  readonly pid: number;
  readonly ppid: number;
  readonly command: string;
}

const hasProc = fs.existsSync('/proc/self/stat');

/** @returns all processes on the machine that this user may see, except zombies. */
export function processes(): ProcessRow[] {
  return hasProc ? procRows() : psRows();
}

export function isRunning(pid: number): boolean {
  return hasProc ? procRow(pid).length > 0 : psRows().some((row) => row.pid === pid);
}

/** @returns the descendants of a process, its children first. */
export function descendants(pid: number, rows = processes()): ProcessRow[] {
  const children = rows.filter((row) => row.ppid === pid);
  return children.concat(children.flatMap((child) => descendants(child.pid, rows)));
}

/** @returns true if a process was started with this `NAME=value`. Always false on systems without /proc. */
export function hasVariable(pid: number, assignment: string): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(assignment);
  } catch {
    return false;
  }
}

function procRows(): ProcessRow[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => procRow(Number(name)));
}

/** @returns no row when there is no such process, or when it has ended since. */
function procRow(pid: number): ProcessRow[] {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return [];
    const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return [{ pid, ppid: Number(ppid), command }];
  } catch {
    return [];
  }
}

function psRows(): ProcessRow[] {
  const output = execFileSync('ps', ['-axww', '-o', 'pid=,ppid=,stat=,command='], { encoding: 'utf8' });
  return output.split('\n').flatMap((line) => {
    const [, pid, ppid, state = 'Z', command = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    const itself = command.startsWith('ps -axww');
    return itself || state.startsWith('Z') ? [] : [{ pid: Number(pid), ppid: Number(ppid), command }];
  });
}
