import type { ProcessorStats, TreeStats, TreeStatus } from './tree-status';

export type * from './tree-status';

/** All job processors of this tree, the one that fetches first. */
export function processorsOf({ jobProcessor, otherJobProcessor: other }: TreeStats): readonly ProcessorStats[] {
  return other ? [jobProcessor, other] : [jobProcessor];
}

/** Children send a heartbeat every second. Without one for this long, ms, a child counts as unresponsive: it is blocked. */
export const CHILD_SILENT_MS = 4000;

/** A crash loop is this many deaths of a process in a row, each soon after a start. */
export const CRASH_LOOP_DEATHS = 5;
/** The same for a tree or a processor that reports by Redis every second: it is blocked, cut off or dead. */
export const REPORT_SILENT_MS = 5000;

/** The status, or undefined before the process has sent one. */
export function reported<T extends object>(status: T | Record<string, never>): T | undefined {
  return Object.keys(status).length > 0 ? (status as T) : undefined;
}

/** The end of a process in the words of the log. */
export function endingOf({ code, signal }: { readonly code: number | null; readonly signal: string | null }): string {
  return signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
}

/** Requests in flight, slots, and queued requests of a tree; undefined when it serves no web. */
export function webLoad({ stats, limits }: TreeStatus): { inFlight: number; of: number; waiting: number } | undefined {
  const { workers, workerStatus } = stats;
  const statuses = workerStatus.flatMap((one) => reported(one.lastStatus) ?? []);
  if (workers === 0) return undefined;
  const sum = (pick: (status: (typeof statuses)[number]) => number) =>
    statuses.reduce((total, one) => total + pick(one), 0);
  // A worker that it blocks has not reported the request that it has begun.
  const unreported = workerStatus.filter(
    ({ begun, lastStatus }) => begun && !reported(lastStatus)?.inFlight.some(({ id }) => id === begun.id),
  );
  return {
    inFlight: sum((one) => one.busyThreads) + unreported.length,
    of: workers * limits.maxThreads,
    waiting: sum((one) => one.backlog),
  };
}
