import type { Knex } from 'knex';
import type { Histogram } from '../../support/histogram';
import { compareText } from '../../support/text-order';
import { ClassStats, type Outcomes } from './class-stats';
import type { LastRun } from './last-runs';
import { type HourCounts, readHours, readLastRuns, readStats } from './stats-table';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const MINUTES_READ_MS = HOUR_MS;

/**
 * What became of the jobs and mails of every tree on this Postgres: in the last minutes and hours, and in total. The counts
 * are at most some seconds old. Any process may use it, since it only reads.
 */
export class History {
  constructor(private readonly knex: Knex) {}

  /**
   * The last `ms`, up to 72 hours, with the whole of the period in which they begin: its minute if that was within the last
   * hour, else its hour. @throws errors of Postgres.
   */
  async last(ms: number, now = Date.now()): Promise<HistorySum> {
    const [span, spanMs] = ms <= MINUTES_READ_MS ? (['minute', MINUTE_MS] as const) : (['hour', HOUR_MS] as const);
    const from = now - ms;
    return summarize(await readStats(this.knex, span, new Date(from - (from % spanMs))));
  }

  /** The total since the tables were created. @throws errors of Postgres. */
  async totals(): Promise<HistorySum> {
    return summarize(await this.counters());
  }

  /** The last runs of a class, newest first. @throws errors of Postgres. */
  lastRuns(className: string): Promise<LastRun[]> {
    return readLastRuns(this.knex, className);
  }

  /** The runs of a class in the last 72 hours, by hour, without the hours that had none. @throws errors of Postgres. */
  hours(className: string, now = Date.now()): Promise<HourCounts[]> {
    return readHours(this.knex, className, new Date(now - (now % HOUR_MS) - 71 * HOUR_MS));
  }

  /** The counters behind `totals`, and those of mails. @throws errors of Postgres. */
  counters(): Promise<Outcomes> {
    return readStats(this.knex, 'total', new Date(0));
  }
}

/** Durations, ms, with an error of about a fifth; null if there were none. */
export interface DurationSummary {
  /** How many. */
  readonly count: number;
  /** Their mean. */
  readonly meanMs: number | null;
  /** Their median. */
  readonly p50Ms: number | null;
  /** The one that 99 % do not exceed. */
  readonly p99Ms: number | null;
}

/** The counts of one class, or of all classes. */
export interface ClassSummary {
  /** Name of the class; '' for the sum of all. */
  readonly class: string;
  /** Runs that succeeded. */
  readonly processed: number;
  /** Runs that failed, with or without a retry. */
  readonly failed: number;
  /** Failed runs that another was to follow. */
  readonly retried: number;
  /** Jobs that died. */
  readonly dead: number;
  /** Jobs that were discarded. */
  readonly discarded: number;
  /** Jobs that were cancelled, while they waited or ran. */
  readonly cancelled: number;
  /** Jobs that had not begun within their `expiresIn`. */
  readonly expired: number;
  /** Share of failed runs among those that succeeded or failed, 0 to 1; 0 if there were none. */
  readonly errorRate: number;
  /** Time from when a job was due until its run began. */
  readonly latency: DurationSummary;
  /** Durations of the runs that succeeded. */
  readonly duration: DurationSummary;
}

/** What became of jobs in some time. */
export interface HistorySum {
  /** The sum of all classes. */
  readonly all: ClassSummary;
  /** The busiest first. */
  readonly classes: readonly ClassSummary[];
}

function summarize({ classes }: Outcomes): HistorySum {
  const all = new ClassStats();
  for (const stats of classes.values()) all.merge(stats);
  const rows = [...classes].map(([className, stats]) => summarizeClass(className, stats));
  rows.sort((a, b) => b.processed + b.failed - (a.processed + a.failed) || compareText(a.class, b.class));
  return { all: summarizeClass('', all), classes: rows };
}

function summarizeClass(className: string, stats: ClassStats): ClassSummary {
  const { processed, failed, retried, dead, discarded, cancelled, expired } = stats;
  const runs = processed + failed;
  return {
    class: className,
    processed,
    failed,
    retried,
    dead,
    discarded,
    cancelled,
    expired,
    errorRate: runs === 0 ? 0 : failed / runs,
    latency: summarizeDurations(stats.latency),
    duration: summarizeDurations(stats.duration),
  };
}

function summarizeDurations(histogram: Histogram): DurationSummary {
  return {
    count: histogram.count,
    meanMs: histogram.meanMs,
    p50Ms: histogram.quantile(0.5),
    p99Ms: histogram.quantile(0.99),
  };
}
