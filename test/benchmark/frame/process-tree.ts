import fs from 'node:fs';
import { descendants, processes } from '../../support/processes';

/** Clock ticks of /proc/<pid>/stat, a second: a constant of the kernel's interface. */
const TICKS = 100;

/** Pids of a process and all below it. */
export function treeOf(pid: number): number[] {
  return [pid, ...descendants(pid, processes()).map((row) => row.pid)];
}

/** CPU that these processes have used so far, user and system, ms. Linux only. */
export function cpuMs(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return (ticks / TICKS) * 1000;
}

export interface Memory {
  readonly rssMb: number;
  /** Own pages, and a share of those held in common: the sum over a tree is what it takes. */
  readonly pssMb: number;
}

/** Sums of these processes. Linux only. */
export function memoryOf(pids: readonly number[]): Memory {
  let [rss, pss] = [0, 0];
  for (const pid of pids) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    const kb = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
    rss += kb('Rss');
    pss += kb('Pss');
  }
  return { rssMb: rss / 1024, pssMb: pss / 1024 };
}

/** Empty when the process is gone. */
function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
