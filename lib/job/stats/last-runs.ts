export const LAST_RUNS = 20;

export const OUTCOMES = ['done', 'failed', 'dead', 'discarded', 'cancelled', 'expired'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface LastRun {
  readonly id: string;
  /** Time of its end, ms since 1970. */
  readonly at: number;
  /** Its duration, ms; null for a run that did not succeed. */
  readonly ms: number | null;
  readonly outcome: Outcome;
}

export type StoredRun = readonly [id: string, at: number, ms: number | null, outcome: number];

/** @param runs a ring that `ended` runs have been written into. @returns them, the newest first. */
export function newestFirst(runs: readonly StoredRun[], ended: number): StoredRun[] {
  const next = ended % LAST_RUNS;
  return [...runs.slice(next), ...runs.slice(0, next)].reverse();
}

/** @param runs of a row; null for a class that has not run since they are kept. */
export function readRuns(runs: readonly StoredRun[] | null): LastRun[] {
  return (runs ?? []).map(([id, at, ms, outcome]) => ({ id, at, ms, outcome: OUTCOMES[outcome] ?? 'done' }));
}
