import type { Cron } from 'croner';
import { toError, UserError } from '../../core/errors';

/**
 * When a cron expression is due, in a time zone.
 *
 * Where clocks change: an expression with fixed hours and minutes (`30 2 * * *`, `0 6,18 * * *`) is due once for each
 * of its times on every day, as in Vixie cron. A time that spring leaves out is due at the first moment after the gap,
 * one that autumn repeats is due the first time only. An expression with `*` or a step in hours, minutes or seconds is
 * an interval (`0 * * * *`): it has no tick in a gap and one in each of two repeated hours, so that none is longer.
 */
export class Schedule {
  private readonly cron: Cron;

  /**
   * @param at five fields, six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly.
   * @param timeZone IANA name.
   * @throws UserError without a subject (`cron is '61 * * * *': …`) for what is neither, and for what never comes.
   */
  constructor(at: string, timeZone: string) {
    if (!isTimeZone(timeZone)) {
      throw new UserError(`timeZone is '${timeZone}'; give an IANA name, such as Europe/Berlin, or UTC`);
    }
    // Loaded by those alone that have something recurring.
    const { Cron } = require('croner') as typeof import('croner');
    try {
      this.cron = new Cron(at, { timezone: timeZone, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' });
    } catch (thrown) {
      const reason = toError(thrown).message.replace(/^CronPattern: /, '');
      throw new UserError(`cron is '${at}': ${reason} ${ADVICE}`);
    }
    if (!this.next(new Date())) throw new UserError(`cron is '${at}', which never comes ${ADVICE}`);
  }

  /** The first tick after a moment; undefined when there will be none. */
  next(after: Date): Date | undefined {
    return this.cron.nextRun(after) ?? undefined;
  }

  /** The ticks after `after` up to and including `until`, in order; of more than `limit`, the latest ones. */
  ticks(after: Date, until: Date, limit: number): Date[] {
    const first = this.next(after);
    if (!first || first > until) return [];
    const ticks: Date[] = [];
    for (let tick: Date | undefined = until; ticks.length < limit; ) {
      // Looks back from a moment that it leaves out itself.
      tick = this.cron.previousRuns(1, ticks.length === 0 ? new Date(until.getTime() + 1) : tick)[0];
      if (!tick || tick <= after) break;
      ticks.unshift(tick);
    }
    return ticks;
  }
}

const ADVICE = "(give five fields such as '0 3 * * *': minute, hour, day, month, weekday; or six, with seconds first)";

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
