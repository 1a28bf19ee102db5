import { reported, type TreeStatus } from '../cluster/status';
import type { StalledPart } from '../core/failure-cause';

/** When a part of a tree's jobs last made progress: it succeeded, or found nothing to do. */
export interface LastProgress {
  readonly part: StalledPart;
  /** Time since then, ms. */
  readonly movedMs: number;
}

/**
 * @returns the parts of the processor that fetches, by its last heartbeat. A part that never had work is left out; so
 *   are all parts before the first heartbeat.
 */
export function lastProgress({ stats: { jobProcessor } }: TreeStatus): LastProgress[] {
  const { heartbeatAgeMs, lastStatus } = jobProcessor;
  const { progress = [] } = reported(lastStatus) ?? {};
  return progress.flatMap(({ part, movedMs }) =>
    movedMs === null ? [] : [{ part, movedMs: movedMs + (heartbeatAgeMs ?? 0) }],
  );
}

/** A job that had been due for less than this when the queues were read, ms, has most likely run since then. */
const FLEETING_MS = 1000;

/** @returns the time for which the oldest job on that processor's queues has been due, ms; undefined: none is due. */
export function oldestDueMs({ stats: { jobProcessor } }: TreeStatus): number | undefined {
  const { heartbeatAgeMs, lastStatus } = jobProcessor;
  const waiting = (reported(lastStatus)?.waiting ?? [])
    .filter(({ readMs }) => readMs >= FLEETING_MS)
    .map(({ ms }) => ms + (heartbeatAgeMs ?? 0));
  return waiting.length === 0 ? undefined : Math.max(...waiting);
}
