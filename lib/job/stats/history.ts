import { UserError } from '../../core/errors';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import type { Histogram } from '../../support/histogram';
import { compareText } from '../../support/text';
import {
  ClassStats,
  DAY_MS,
  DAYS_KEPT,
  dayKey,
  fromFields,
  type MailCounts,
  MINUTE_MS,
  MINUTE_TTL_S,
  mailsFromFields,
  minuteKey,
  TOTALS_KEY,
} from './class-stats';

const ANSWER_MS = 5000;
/** Keys per round trip. */
const PAGE = 100;
const MAX_MINUTES = MINUTE_TTL_S / 60;

/** Totals by name, since the beginning of Redis's data. */
export interface HistoryCounters {
  readonly classes: ReadonlyMap<string, ClassStats>;
  readonly mailers: ReadonlyMap<string, MailCounts>;
}

/** The counts of one minute or one day. */
interface HistoryPeriod extends HistorySum {
  /** Start of the period, UTC. */
  readonly at: Date;
}

/**
 * The counts of the jobs of every tree that shares this Redis: by minute for 25 hours, by day for 180 days, and in
 * total. They are at most some seconds old. Any process may use it, since it only reads.
 */
export class History {
  constructor(private readonly redis: RedisClient) {}

  /**
   * Every minute from `from` to `to`, both included, the oldest first, including those without jobs.
   * @throws UserError unless the period has 1 minute to 25 hours; Error when Redis does not answer.
   */
  async minutes(from: Date, to: Date): Promise<HistoryPeriod[]> {
    const times = minutesBetween(from, to);
    return periods(times, await this.read(times, minuteKey));
  }

  /** The same minutes summed up. @throws the same errors as `minutes`. */
  async sum(from: Date, to: Date): Promise<HistorySum> {
    return sumUp(await this.read(minutesBetween(from, to), minuteKey));
  }

  /**
   * The last `count` days, today included, the oldest first.
   * @throws UserError unless `count` is a whole number from 1 to 180; Error when Redis does not answer.
   */
  async days(count: number, now: Date = new Date()): Promise<HistoryPeriod[]> {
    if (!Number.isInteger(count) || count < 1 || count > DAYS_KEPT) {
      throw new UserError(
        `${count} is not a number of days that the history has: give a whole one from 1 to ${DAYS_KEPT}.`,
      );
    }
    const today = Math.floor(now.getTime() / DAY_MS) * DAY_MS;
    const times = Array.from({ length: count }, (_, i) => today - (count - 1 - i) * DAY_MS);
    return periods(times, await this.read(times, dayKey));
  }

  /** The total since the beginning of Redis's data. @throws Error when Redis does not answer. */
  async totals(): Promise<HistorySum> {
    return sumUp([fromFields(await answerWithin(ANSWER_MS, this.redis.hGetAll(TOTALS_KEY)))]);
  }

  /** The counters behind `totals`, and those of mails. @throws Error when Redis does not answer. */
  async counters(): Promise<HistoryCounters> {
    const fields = await answerWithin(ANSWER_MS, this.redis.hGetAll(TOTALS_KEY));
    return { classes: fromFields(fields), mailers: mailsFromFields(fields) };
  }

  private async read(times: readonly number[], keyOf: (at: number) => string): Promise<Map<string, ClassStats>[]> {
    const found: Map<string, ClassStats>[] = [];
    for (let i = 0; i < times.length; i += PAGE) {
      const page = times.slice(i, i + PAGE).map((at) => this.redis.hGetAll(keyOf(at)));
      for (const fields of await answerWithin(ANSWER_MS, Promise.all(page))) found.push(fromFields(fields));
    }
    return found;
  }
}

function periods(times: readonly number[], found: readonly ReadonlyMap<string, ClassStats>[]): HistoryPeriod[] {
  return times.map((at, index) => ({ at: new Date(at), ...sumUp([found[index] ?? new Map()]) }));
}

function minutesBetween(from: Date, to: Date): number[] {
  const [first = Number.NaN, last = Number.NaN] = [from, to].map((date) => Math.floor(date.getTime() / MINUTE_MS));
  const count = last - first + 1;
  if (!(count >= 1 && count <= MAX_MINUTES)) {
    const given = [from, to].map((date) => (Number.isNaN(date.getTime()) ? 'an invalid date' : date.toISOString()));
    throw new UserError(`${given.join(' to ')} is not a period of 1 to ${MAX_MINUTES} minutes.`);
  }
  return Array.from({ length: count }, (_, i) => (first + i) * MINUTE_MS);
}

/** Durations, ms, with an error of about a fifth; null if there were none. */
interface DurationSummary {
  readonly count: number;
  readonly meanMs: number | null;
  readonly p50Ms: number | null;
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
  readonly retried: number;
  readonly dead: number;
  readonly discarded: number;
  /** Share of failed runs among those that succeeded or failed, 0 to 1; 0 if there were none. */
  readonly errorRate: number;
  /** Time from when a job was due until its run began. */
  readonly latency: DurationSummary;
  /** Durations of the runs that succeeded. */
  readonly duration: DurationSummary;
}

export interface HistorySum {
  readonly all: ClassSummary;
  /** The busiest first. */
  readonly classes: readonly ClassSummary[];
}

/** Sums up several periods. */
function sumUp(parts: Iterable<ReadonlyMap<string, ClassStats>>): HistorySum {
  const all = new ClassStats();
  const byClass = new Map<string, ClassStats>();
  for (const part of parts) {
    for (const [className, stats] of part) {
      const sum = byClass.get(className) ?? new ClassStats();
      sum.merge(stats);
      byClass.set(className, sum);
      all.merge(stats);
    }
  }
  const classes = [...byClass].map(([className, stats]) => rowOf(className, stats));
  classes.sort((a, b) => b.processed + b.failed - (a.processed + a.failed) || compareText(a.class, b.class));
  return { all: rowOf('', all), classes };
}

function rowOf(className: string, stats: ClassStats): ClassSummary {
  const { processed, failed, retried, dead, discarded } = stats;
  const runs = processed + failed;
  return {
    class: className,
    processed,
    failed,
    retried,
    dead,
    discarded,
    errorRate: runs === 0 ? 0 : failed / runs,
    latency: spreadOf(stats.latency),
    duration: spreadOf(stats.duration),
  };
}

function spreadOf(histogram: Histogram): DurationSummary {
  return {
    count: histogram.count,
    meanMs: histogram.meanMs,
    p50Ms: histogram.quantile(0.5),
    p99Ms: histogram.quantile(0.99),
  };
}
