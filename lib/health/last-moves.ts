import { reported, type TreeStatus } from '../cluster/status';
import type { StalledPart } from '../core/failure-cause';

/** When a part of a tree's jobs last moved: succeeded, or found nothing to do. */
export interface LastMove {
  readonly part: StalledPart;
  /** Time since then, ms. */
  readonly movedMs: number;
}

/**
 * @returns the parts of the processor that fetches, by its last heartbeat. A part that has never had anything to do is
 *   left out, and all of them are where the processor has not spoken yet, or is of an older version.
 */
export function lastMoves({ stats: { jobProcessor } }: TreeStatus): LastMove[] {
  const { heartbeatAgeMs, lastStatus } = jobProcessor;
  const { progress = [] } = reported(lastStatus) ?? {};
  // Of the servers of REDIS_SHARDS, which are part `queue`, it is told when they are away.
  return progress.flatMap(({ part, movedMs }) =>
    movedMs === null || part === 'queue' ? [] : [{ part, movedMs: movedMs + (heartbeatAgeMs ?? 0) }],
  );
}

/** A job that had been due for less than this when the queues were read, ms, has most likely run since. */
const FLEETING_MS = 1000;

/** @returns the time for which the oldest job on a queue of that processor has been due, ms; undefined: none is. */
export function oldestDueMs({ stats: { jobProcessor } }: TreeStatus): number | undefined {
  const { heartbeatAgeMs, lastStatus } = jobProcessor;
  const waiting = (reported(lastStatus)?.waiting ?? [])
    .filter(({ ms, readMs = ms }) => readMs >= FLEETING_MS)
    .map(({ ms }) => ms + (heartbeatAgeMs ?? 0));
  return waiting.length === 0 ? undefined : Math.max(...waiting);
}
