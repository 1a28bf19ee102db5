import fs from 'node:fs';

/**
 * Proportional set size of a process in MB: its own pages, and its share of those it has in common with others, so that
 * the sum over a tree is what the tree really takes. Null where the system does not tell (no Linux, or the process is gone).
 */
export function pssMb(pid: number): number | null {
  try {
    const kb = /^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return kb === undefined ? null : Number(kb) / 1024;
  } catch {
    return null;
  }
}

export interface TreeMemory {
  readonly byPid: ReadonlyMap<number, number>;
  /** Null when no process could be measured. */
  readonly totalMb: number | null;
}

export function measureTree(pids: readonly number[]): TreeMemory {
  const byPid = new Map<number, number>();
  for (const pid of pids) {
    const mb = pssMb(pid);
    if (mb !== null) byPid.set(pid, mb);
  }
  const totalMb = byPid.size === 0 ? null : [...byPid.values()].reduce((sum, mb) => sum + mb, 0);
  return { byPid, totalMb };
}
