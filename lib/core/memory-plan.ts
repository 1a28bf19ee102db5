import os from 'node:os';
import { pluralize } from '../support/counted';
import type { HeapCaps } from './config-types';

/** @returns the cgroup's memory limit in MB, or null when there is none below the machine's memory. */
export function detectMemoryLimitMb(): number | null {
  const bytes = process.constrainedMemory();
  return bytes > 0 && bytes < os.totalmem() ? Math.floor(bytes / 1048576) : null;
}

/** Planned memory of the primary and the job processor together, MB of proportional set size. */
export const BASE_MB = 200;
/** Planned memory of one web worker, MB. */
export const WORKER_MB = 120;

/**
 * Computes the number of web workers for `WEB_CONCURRENCY=auto`: one per core, as far as memory allows, at least one.
 * @returns their number, and the calculation as text for the log.
 */
export function autoConcurrency(
  memoryLimitMb: number | null,
  cores: number = os.availableParallelism(),
): { readonly workers: number; readonly sums: string } {
  const has = pluralize(cores, 'core');
  if (memoryLimitMb === null) return { workers: cores, sums: `${has}, no memory limit: ${pluralize(cores, 'worker')}` };
  const fitting = Math.floor((memoryLimitMb - BASE_MB) / WORKER_MB);
  const workers = Math.max(1, Math.min(cores, fitting));
  const sums = `(${memoryLimitMb} MB − ${BASE_MB} MB) / ${WORKER_MB} MB = ${fitting}, ${has}: ${pluralize(workers, 'worker')}`;
  return { workers, sums };
}

/** Share of the limit that the tree is planned to fill; above it workers are recycled. */
export const RECYCLE_THRESHOLD = 0.85;
/** Memory of the primary, and memory outside of heaps such as code, stacks and buffers, MB. */
const BESIDE_HEAPS_MB = 60;
/** The job processor's share relative to a worker's; it is larger since it also renders mail. */
const JOBS_SHARE = 1.25;
/** Minimum heap, MB; with less no process boots. */
const MIN_HEAP_MB = 64;

/**
 * Divides the memory planned for heaps: one share for each worker, 1.25 for the job processor. A process that outgrows its
 * share collects garbage more often. In the end it dies alone, instead of taking the whole tree over the limit.
 */
export function heapCaps(limitMb: number, workers: number, jobs: boolean): HeapCaps {
  const shares = Math.max(1, workers + (jobs ? JOBS_SHARE : 0));
  const share = (limitMb * RECYCLE_THRESHOLD - BESIDE_HEAPS_MB) / shares;
  const atLeast = (mb: number) => Math.max(MIN_HEAP_MB, Math.floor(mb));
  return { workerMb: atLeast(share), jobsMb: atLeast(share * JOBS_SHARE) };
}
