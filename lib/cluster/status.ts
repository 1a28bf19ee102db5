import type { ProcessorStats, TreeStats } from './tree-status';

export type * from './tree-status';

/** All job processors of this tree, the one that fetches first. */
export function processorsOf({ jobProcessor, otherJobProcessor: other }: TreeStats): readonly ProcessorStats[] {
  return other ? [jobProcessor, other] : [jobProcessor];
}

/** Children send a heartbeat every second: without one for this long, ms, a child counts as unresponsive. */
export const UNRESPONSIVE_MS = 4000;

/** The status, or undefined before the process has sent one. */
export function reported<T extends object>(status: T | Record<string, never>): T | undefined {
  return Object.keys(status).length > 0 ? (status as T) : undefined;
}

/** The end of a process in the words of the log. */
export function endingOf({ code, signal }: { readonly code: number | null; readonly signal: string | null }): string {
  return signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
}
