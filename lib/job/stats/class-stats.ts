import { Histogram } from '../../support/histogram';
import type { StoredRun } from './last-runs';

export const COUNTERS = ['processed', 'failed', 'retried', 'dead', 'discarded'] as const;
export const HISTOGRAMS = ['latency', 'duration'] as const;
/** Stored after all others, so that a release that does not know them reads the same. */
export const LATER_COUNTERS = ['cancelled', 'expired'] as const;
export type Counter = (typeof COUNTERS | typeof LATER_COUNTERS)[number];

/**
 * Upper bounds of the buckets, ms: from 1.5 ms to some two days in 47 steps, each half as large again as the one
 * before, so a quantile is off by about a fifth.
 */
export const JOB_BOUNDS_MS: readonly number[] = Array.from({ length: 47 }, (_, bucket) => 1.5 ** (bucket + 1));

export class ClassStats {
  /** Runs that succeeded. */
  processed = 0;
  /** Runs that failed, with or without a retry. */
  failed = 0;
  retried = 0;
  dead = 0;
  discarded = 0;
  /** Jobs that were cancelled, while they waited or ran. */
  cancelled = 0;
  /** Jobs that had not begun within their `expiresIn`. */
  expired = 0;
  /** The last of its runs in this process, in a ring, and how many have been written into it. */
  readonly runs: StoredRun[] = [];
  ended = 0;
  /** Time from when a job was due until its run began, ms. */
  readonly latency = new Histogram(JOB_BOUNDS_MS);
  /** Durations of the runs that succeeded, ms. */
  readonly duration = new Histogram(JOB_BOUNDS_MS);

  merge(other: ClassStats): void {
    for (const name of [...COUNTERS, ...LATER_COUNTERS]) this[name] += other[name];
    for (const name of HISTOGRAMS) this[name].add(other[name]);
  }
}

export const MAIL_OUTCOMES = ['sent', 'failed', 'skipped'] as const;
export type MailCounts = Record<(typeof MAIL_OUTCOMES)[number], number>;

/** What became of jobs and mails. Every failed attempt counts. */
export class Outcomes {
  readonly classes = new Map<string, ClassStats>();
  readonly mailers = new Map<string, MailCounts>();

  class(name: string): ClassStats {
    const stats = this.classes.get(name) ?? new ClassStats();
    this.classes.set(name, stats);
    return stats;
  }

  mailer(name: string): MailCounts {
    const counts = this.mailers.get(name) ?? { sent: 0, failed: 0, skipped: 0 };
    this.mailers.set(name, counts);
    return counts;
  }
}
