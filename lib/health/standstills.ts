import { type ProcessorStats, type ProcessorStatus, reported } from '../cluster/status';
import type { FailureCause, StalledPart } from '../core/failure-cause';

/** A part of a tree's jobs that does not move although it has something to do. */
export interface Standstill {
  readonly part: StalledPart;
  readonly cause: FailureCause;
  /** Time for which it has stood still, ms. */
  readonly spanMs: number;
  /** The queue concerned, or the error in its own words; empty where neither is known. */
  readonly about: string;
}

/**
 * Something that has been due for this long stands still, ms. Heartbeats and the checks of the primary come on top of
 * it, and within 15 s everybody is told.
 */
export const STALLED_MS = 10_000;
/** Children send a heartbeat every second: without one for this long, ms, a child counts as unresponsive. */
export const SILENT_MS = 4000;

/**
 * Judges the jobs of one tree by what its processor last reported.
 * @param now by the clock of that tree's host.
 */
export function standstillsOf(processor: ProcessorStats, now: Date): Standstill[] {
  const { state, lastCheckin, lastStatus } = processor;
  const status = reported(lastStatus);
  if (state === 'quiet' && status) return waitingJobs(status, 'quiet');
  if (state !== 'ready' || !status) return [];
  const heartbeatAgeMs = lastCheckin === null ? 0 : now.getTime() - Date.parse(lastCheckin);
  if (heartbeatAgeMs > SILENT_MS) return [{ part: 'processor', cause: 'frozen', spanMs: heartbeatAgeMs, about: '' }];
  const stalled = (status.progress ?? [])
    .filter(({ owedMs }) => owedMs >= STALLED_MS)
    .map(({ part, owedMs, cause, error }): Standstill => ({ part, cause, spanMs: owedMs, about: error }));
  return [...stalled, ...waitingJobs(status, 'paused')];
}

/** Jobs that wait since an operator wants it. What waits for a free slot is merely late. */
function waitingJobs({ waiting = [] }: ProcessorStatus, cause: 'paused' | 'quiet'): Standstill[] {
  return waiting
    .filter(({ ms, paused }) => ms >= STALLED_MS && (cause === 'quiet' || paused))
    .map(({ queue, ms }) => ({ part: 'queue', cause, spanMs: ms, about: queue }));
}
