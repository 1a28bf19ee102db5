import fs from 'node:fs';
import { descendants, processes } from '../../support/processes';

/** A clock tick of /proc/<pid>/stat: a constant of the kernel's interface. */
const TICK_MS = 10;

/** Pids of a process and all below it. */
export function treeOf(pid: number): number[] {
  return [pid, ...descendants(pid, processes()).map((row) => row.pid)];
}

/** CPU that these processes have used so far, user and system, ms. Linux only. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (exactCpuMs(pid) ?? countedCpuMs(pid)), 0);
}

/** To the nanosecond, of the threads that live. undefined where the kernel does not tell. */
function exactCpuMs(pid: number): number | undefined {
  const threads = list(`/proc/${pid}/task`).map((thread) => read(`/proc/${pid}/task/${thread}/schedstat`));
  if (threads.every((stat) => stat === '')) return undefined;
  return threads.reduce((sum, stat) => sum + Number(stat.split(' ')[0]) / 1e6, 0);
}

/** In clock ticks of 10 ms. */
function countedCpuMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS;
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

function list(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}
