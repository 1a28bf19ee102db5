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
  private readonly at: string;
  private readonly offsetOf: (moment: Date) => number;

  /**
   * @param at five fields, six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly.
   * @param timeZone IANA name.
   * @throws UserError without a subject (`cron is '61 * * * *': …`) for what is neither, and for what never comes.
   */
  constructor(at: string, timeZone: string) {
    const offsetOf = offsets(timeZone);
    if (!offsetOf) {
      throw new UserError(`timeZone is '${timeZone}'; give an IANA name, such as Europe/Berlin, or UTC`);
    }
    this.at = at;
    this.offsetOf = offsetOf;
    try {
      this.cron = parse(at, { timezone: timeZone });
    } catch (thrown) {
      const reason = toError(thrown).message.replace(/^CronPattern: /, '');
      throw new UserError(`cron is '${at}': ${reason} ${ADVICE}`);
    }
    if (!this.next(new Date())) throw new UserError(`cron is '${at}', which never comes ${ADVICE}`);
  }

  /** The first tick after a moment; undefined when there will be none. */
  next(after: Date): Date | undefined {
    const tick = this.cron.nextRun(after) ?? undefined;
    return tick && (this.swallowed(after, tick) ?? tick);
  }

  /** The ticks after `after` up to and including `until`, in order; of more than `limit`, the latest ones. */
  ticks(after: Date, until: Date, limit: number): Date[] {
    const first = this.walk(after, until, limit);
    if (first.length < limit) return first;
    // The library looks back from a moment that it leaves out itself.
    const oldest = this.cron.previousRuns(limit, new Date(until.getTime() + 1)).at(-1);
    return oldest && oldest > after ? [oldest, ...this.walk(oldest, until, 2 * limit)].slice(-limit) : first;
  }

  /** The first ones. */
  private walk(after: Date, until: Date, limit: number): Date[] {
    const ticks: Date[] = [];
    for (let tick = this.next(after); tick && tick <= until && ticks.length < limit; tick = this.next(tick)) {
      ticks.push(tick);
    }
    return ticks;
  }

  /**
   * The library loses a fixed time in a gap that ends the day, which Greenland's does.
   * @returns the end of that gap, where it lies between a moment and the tick that was found next.
   */
  private swallowed(after: Date, tick: Date): Date | undefined {
    const before = this.offsetOf(after);
    if (this.offsetOf(tick) <= before || !hasFixedTimes(this.at)) return undefined;
    const asIfUnchanged = parse(this.at, { utcOffset: before }).nextRun(after);
    if (!asIfUnchanged || asIfUnchanged >= tick || this.offsetOf(asIfUnchanged) === before) return undefined;
    let [early, late] = [after.getTime(), asIfUnchanged.getTime()];
    while (late - early > 1) {
      const middle = Math.floor((early + late) / 2);
      if (this.offsetOf(new Date(middle)) === before) early = middle;
      else late = middle;
    }
    return new Date(late);
  }
}

const ADVICE = "(give five fields such as '0 3 * * *': minute, hour, day, month, weekday; or six, with seconds first)";

function parse(at: string, where: { readonly timezone: string } | { readonly utcOffset: number }): Cron {
  // Loaded by those alone that have something recurring.
  const { Cron } = require('croner') as typeof import('croner');
  return new Cron(at, { ...where, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' });
}

/** Nothing but hours, minutes and seconds by number. */
function hasFixedTimes(at: string): boolean {
  const fields = at.trim().split(/\s+/);
  return fields.length >= 5 && !fields.slice(0, fields.length - 3).some((field) => /[*?/]/.test(field));
}

/** @returns how many minutes a zone's clocks are ahead of UTC at a moment; undefined where there is no such zone. */
function offsets(timeZone: string): ((moment: Date) => number) | undefined {
  try {
    const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' });
    return (moment) => {
      const [, sign, hours, minutes] = /GMT([+-])(\d+):(\d+)/.exec(format.format(moment)) ?? [];
      return sign ? (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1) : 0;
    };
  } catch {
    return undefined;
  }
}
