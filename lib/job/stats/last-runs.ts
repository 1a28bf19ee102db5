/** How many of the last runs of each class are kept. */
export const LAST_RUNS = 20;

export const OUTCOMES = ['done', 'failed', 'dead', 'discarded', 'cancelled', 'expired'] as const;
type Outcome = (typeof OUTCOMES)[number];

/** A run that has ended. */
export interface LastRun {
  /** The job's id. */
  readonly id: string;
  /** Time of its end, ms since 1970. */
  readonly at: number;
  /** Its duration, ms; null for a run that did not succeed. */
  readonly ms: number | null;
  readonly outcome: Outcome;
}

/** As it is stored. */
export type StoredRun = readonly [id: string, at: number, ms: number | null, outcome: number];

/** The last runs of one class in this process. A run costs four writes into arrays. */
export class RunRing {
  private readonly ids: string[] = [];
  private readonly times: number[] = [];
  private readonly durations: (number | null)[] = [];
  private readonly outcomes: Outcome[] = [];
  private count = 0;

  add(id: string, outcome: Outcome, ms: number | null = null): void {
    const place = this.count++ % LAST_RUNS;
    this.ids[place] = id;
    this.times[place] = Date.now();
    this.durations[place] = ms;
    this.outcomes[place] = outcome;
  }

  /** The newest first. */
  toStored(): StoredRun[] {
    const length = Math.min(this.count, LAST_RUNS);
    return Array.from({ length }, (_, back) => {
      const place = (this.count - 1 - back) % LAST_RUNS;
      const outcome = OUTCOMES.indexOf(this.outcomes[place] ?? 'done');
      return [this.ids[place] ?? '', this.times[place] ?? 0, this.durations[place] ?? null, outcome];
    });
  }
}

/** @param runs of a row; null for a class that has not run since they are kept. */
export function readRuns(runs: readonly StoredRun[] | null): LastRun[] {
  return (runs ?? []).map(([id, at, ms, outcome]) => ({ id, at, ms, outcome: OUTCOMES[outcome] ?? 'done' }));
}
