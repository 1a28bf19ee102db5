import type { Histogram } from '../../support/histogram';
import { byText } from '../../support/text-order';
import { ClassTally } from './class-tally';

/** Lengths of time, ms, to within a fifth or so; null where there were none. */
export interface Spread {
  readonly count: number;
  readonly meanMs: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** What became of the jobs of one class, or of all. */
export interface HistoryRow {
  /** Its name; '' for all together. */
  readonly class: string;
  /** Runs that succeeded. */
  readonly processed: number;
  /** Runs that failed, whether another was to follow or not. */
  readonly failed: number;
  readonly retried: number;
  readonly dead: number;
  readonly discarded: number;
  /** Of the runs that succeeded or failed the share that failed, 0 to 1; 0 when there were none. */
  readonly errorRate: number;
  /** How long they waited before each run, since they could have run. */
  readonly latency: Spread;
  /** How long the runs that succeeded took. */
  readonly duration: Spread;
}

export interface HistorySum {
  readonly all: HistoryRow;
  /** The busiest first. */
  readonly classes: readonly HistoryRow[];
}

/** Of several stretches of time in one. */
export function sumUp(parts: Iterable<ReadonlyMap<string, ClassTally>>): HistorySum {
  const all = new ClassTally();
  const byClass = new Map<string, ClassTally>();
  for (const part of parts) {
    for (const [className, tally] of part) {
      const sum = byClass.get(className) ?? new ClassTally();
      sum.merge(tally);
      byClass.set(className, sum);
      all.merge(tally);
    }
  }
  const classes = [...byClass].map(([className, tally]) => rowOf(className, tally));
  classes.sort((a, b) => b.processed + b.failed - (a.processed + a.failed) || byText(a.class, b.class));
  return { all: rowOf('', all), classes };
}

function rowOf(className: string, tally: ClassTally): HistoryRow {
  const { processed, failed, retried, dead, discarded } = tally;
  const runs = processed + failed;
  return {
    class: className,
    processed,
    failed,
    retried,
    dead,
    discarded,
    errorRate: runs === 0 ? 0 : failed / runs,
    latency: spreadOf(tally.latency),
    duration: spreadOf(tally.duration),
  };
}

function spreadOf(histogram: Histogram): Spread {
  return {
    count: histogram.count,
    meanMs: histogram.meanMs,
    p50Ms: histogram.percentile(0.5),
    p99Ms: histogram.percentile(0.99),
  };
}
