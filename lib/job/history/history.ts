import { UserError } from '../../core/errors';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../redis/redis-script';
import { type ClassTally, fromFields } from './class-tally';
import { DAY_MS, DAYS_KEPT, dayKey, MINUTE_MS, MINUTE_TTL_S, minuteKey, TOTALS_KEY } from './history-keys';
import { type HistorySum, sumUp } from './history-row';
import { type MailCounts, mailsFromFields } from './mail-tally';

const ANSWER_MS = 5000;
/** Keys per round trip. */
const PAGE = 100;
const MOST_MINUTES = MINUTE_TTL_S / 60;

/** Since the beginning of Redis's data, by name. */
export interface HistoryCounters {
  readonly classes: ReadonlyMap<string, ClassTally>;
  readonly mailers: ReadonlyMap<string, MailCounts>;
}

/** What became of jobs in one minute, or on one day. */
export interface HistoryPeriod extends HistorySum {
  /** When it begins. UTC. */
  readonly at: Date;
}

/**
 * What became of the jobs of every tree that shares this Redis: minute by minute for 25 hours, day by day for 180 days,
 * and in all. At most some seconds old. For any process: it only reads.
 */
export class History {
  constructor(private readonly redis: RedisClient) {}

  /**
   * Every minute from `from` to `to`, both included, the oldest first; those without jobs, too.
   * @throws UserError when that is no stretch of at most 25 hours; Error when Redis does not answer.
   */
  async minutes(from: Date, to: Date): Promise<HistoryPeriod[]> {
    const times = minutesBetween(from, to);
    return periods(times, await this.read(times, minuteKey));
  }

  /** The same minutes in one. @throws as `minutes` does. */
  async sum(from: Date, to: Date): Promise<HistorySum> {
    return sumUp(await this.read(minutesBetween(from, to), minuteKey));
  }

  /**
   * The last `count` days, today included, the oldest first.
   * @throws UserError when `count` is no whole number from 1 to 180; Error when Redis does not answer.
   */
  async days(count: number, now: Date = new Date()): Promise<HistoryPeriod[]> {
    if (!Number.isInteger(count) || count < 1 || count > DAYS_KEPT) {
      throw new UserError(
        `${count} is no number of days that the history has: give a whole one from 1 to ${DAYS_KEPT}.`,
      );
    }
    const today = Math.floor(now.getTime() / DAY_MS) * DAY_MS;
    const times = Array.from({ length: count }, (_, i) => today - (count - 1 - i) * DAY_MS);
    return periods(times, await this.read(times, dayKey));
  }

  /** Since the beginning of Redis's data. @throws Error when Redis does not answer. */
  async totals(): Promise<HistorySum> {
    return sumUp([fromFields(await answerWithin(ANSWER_MS, this.redis.hGetAll(TOTALS_KEY)))]);
  }

  /** What `totals` sums up, as it was counted, and what became of mails. @throws Error when Redis does not answer. */
  async counters(): Promise<HistoryCounters> {
    const fields = await answerWithin(ANSWER_MS, this.redis.hGetAll(TOTALS_KEY));
    return { classes: fromFields(fields), mailers: mailsFromFields(fields) };
  }

  private async read(times: readonly number[], keyOf: (at: number) => string): Promise<Map<string, ClassTally>[]> {
    const found: Map<string, ClassTally>[] = [];
    for (let i = 0; i < times.length; i += PAGE) {
      const page = times.slice(i, i + PAGE).map((at) => this.redis.hGetAll(keyOf(at)));
      for (const fields of await answerWithin(ANSWER_MS, Promise.all(page))) found.push(fromFields(fields));
    }
    return found;
  }
}

function periods(times: readonly number[], tallies: readonly ReadonlyMap<string, ClassTally>[]): HistoryPeriod[] {
  return times.map((at, index) => ({ at: new Date(at), ...sumUp([tallies[index] ?? new Map()]) }));
}

function minutesBetween(from: Date, to: Date): number[] {
  const [first = Number.NaN, last = Number.NaN] = [from, to].map((date) => Math.floor(date.getTime() / MINUTE_MS));
  const count = last - first + 1;
  if (!(count >= 1 && count <= MOST_MINUTES)) {
    const given = [from, to].map((date) => (Number.isNaN(date.getTime()) ? 'an invalid date' : date.toISOString()));
    throw new UserError(`${given.join(' to ')} is no stretch of time from 1 to ${MOST_MINUTES} minutes.`);
  }
  return Array.from({ length: count }, (_, i) => (first + i) * MINUTE_MS);
}
