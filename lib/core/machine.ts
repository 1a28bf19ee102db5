import fs from 'node:fs';
import os from 'node:os';

const CGROUP_LIMITS = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'];

/** The cgroup's memory limit in MB, or null when there is none below the machine's own memory. */
export function detectMemoryLimitMb(
  files: readonly string[] = CGROUP_LIMITS,
  totalBytes: number = os.totalmem(),
): number | null {
  for (const file of files) {
    try {
      const bytes = Number(fs.readFileSync(file, 'utf8').trim());
      if (bytes > 0 && bytes < totalBytes) return Math.floor(bytes / 1048576);
    } catch {
      // Not this version of cgroups.
    }
  }
  return null;
}

/** What the primary and the job processor take together, MB of proportional set size (measured, README.md). */
const BASE_MB = 200;
/** What one web worker may grow to, MB. */
const WORKER_MB = 120;

/** Web workers for `WEB_CONCURRENCY=auto`: one per core, as far as memory allows, at least one. */
export function autoConcurrency(memoryLimitMb: number | null, cores: number = os.availableParallelism()): number {
  const fitting = memoryLimitMb === null ? cores : Math.floor((memoryLimitMb - BASE_MB) / WORKER_MB);
  return Math.max(1, Math.min(cores, fitting));
}
