import type { Cron } from 'croner';
import { EXIT, UserError } from '../../core/errors';
import { toError } from '../../support/to-error';
import type { CronOptions, JobClass } from '../definition/job-class';
import { effectiveName } from '../definition/options';
import { type ArgumentCodec, serializeArguments } from '../record/arguments';
import type { CatchUpPolicy } from './cron-service';

/**
 * The ticks of a cron expression in a time zone. Clock changes concern two kinds of expressions:
 * - Fixed hours and minutes (`30 2 * * *`, `0 6,18 * * *`) are due once for each of their times on every day, as in Vixie cron.
 *   A time that spring leaves out is due at the first moment after the gap. One that autumn repeats is due the first time only.
 * - `*` or a step in hours, minutes or seconds makes an interval (`0 * * * *`). It has no tick in a gap, and one in each of two
 *   repeated hours, so that no interval is longer.
 */
export class Schedule {
  private readonly cron: Cron;
  private readonly at: string;
  private readonly offsetAt: (moment: Date) => number;

  /**
   * @param at five fields, six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly.
   * @param timeZone IANA name.
   * @throws UserError without a subject (`cron is '61 * * * *': …`) for an invalid expression or zone, and for an
   * expression that never matches.
   */
  constructor(at: string, timeZone: string) {
    const offsetAt = offsets(timeZone);
    if (!offsetAt) {
      throw new UserError(`timeZone is '${timeZone}'; give an IANA name, such as Europe/Berlin, or UTC`);
    }
    this.at = at;
    this.offsetAt = offsetAt;
    try {
      this.cron = parse(at, { timezone: timeZone });
    } catch (thrown) {
      const reason = toError(thrown).message.replace(/^CronPattern: /, '');
      throw new UserError(`cron is '${at}': ${reason} ${ADVICE}`);
    }
    if (!this.next(new Date())) throw new UserError(`cron is '${at}', which never occurs ${ADVICE}`);
  }

  /** The first tick after a moment; undefined when there will be none. */
  next(after: Date): Date | undefined {
    const tick = this.cron.nextRun(after) ?? undefined;
    return tick && (this.swallowed(after, tick) ?? tick);
  }

  /** The ticks after `after` up to and including `until`, in order; if there are more than `limit`, the latest ones. */
  ticks(after: Date, until: Date, limit: number): Date[] {
    const first = this.walk(after, until, limit);
    if (first.length < limit) return first;
    // previousRuns() leaves out the moment itself, so the next millisecond is passed.
    const oldest = this.cron.previousRuns(limit, new Date(until.getTime() + 1)).at(-1);
    return oldest && oldest > after ? [oldest, ...this.walk(oldest, until, 2 * limit)].slice(-limit) : first;
  }

  /** The first `limit` ticks. */
  private walk(after: Date, until: Date, limit: number): Date[] {
    const ticks: Date[] = [];
    for (let tick = this.next(after); tick && tick <= until && ticks.length < limit; tick = this.next(tick)) {
      ticks.push(tick);
    }
    return ticks;
  }

  /**
   * croner loses a fixed time in a gap that ends the day, as in Greenland.
   * @returns the end of that gap, if it lies between a moment and the tick that was found next.
   */
  private swallowed(after: Date, tick: Date): Date | undefined {
    const before = this.offsetAt(after);
    if (this.offsetAt(tick) <= before || !hasFixedTimes(this.at)) return undefined;
    const asIfUnchanged = parse(this.at, { utcOffset: before }).nextRun(after);
    if (!asIfUnchanged || asIfUnchanged >= tick || this.offsetAt(asIfUnchanged) === before) return undefined;
    let [early, late] = [after.getTime(), asIfUnchanged.getTime()];
    while (late - early > 1) {
      const middle = Math.floor((early + late) / 2);
      if (this.offsetAt(new Date(middle)) === before) early = middle;
      else late = middle;
    }
    return new Date(late);
  }
}

const ADVICE = "(give five fields such as '0 3 * * *': minute, hour, day, month, weekday; or six, with seconds first)";

function parse(at: string, where: { readonly timezone: string } | { readonly utcOffset: number }): Cron {
  // Loaded only by processes that have recurring jobs.
  const { Cron } = require('croner') as typeof import('croner');
  return new Cron(at, { ...where, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' });
}

/** true if hours, minutes and seconds are plain numbers. */
function hasFixedTimes(at: string): boolean {
  const fields = at.trim().split(/\s+/);
  return fields.length >= 5 && !fields.slice(0, fields.length - 3).some((field) => /[*?/]/.test(field));
}

/** @returns the offset of a zone's clocks from UTC at a moment, minutes; undefined if there is no such zone. */
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

export interface CronEntry {
  readonly name: string;
  readonly jobClass: JobClass;
  readonly spec: string;
  readonly timeZone: string;
  readonly policy: CatchUpPolicy;
  readonly args: readonly unknown[];
  readonly schedule: Schedule;
  /** Of a monitor; see `CronOptions`. */
  readonly ping?: string;
}

/** What `static cron` and `Cron.upsert` say, checked. */
export type CheckedCron = Omit<CronEntry, 'jobClass'>;

const POLICIES: readonly string[] = ['skip', 'once', 'all'] satisfies CatchUpPolicy[];
const NAME = /^[^\s\p{C}]{1,200}$/u;

/**
 * The entries that `static cron` of these classes declares. No type can check that `args` suit `perform`: a class whose
 * `perform` takes arguments must give them here.
 * @param codec serializers and models for arguments that are not JSON.
 * @throws UserError that names the class, the value and what to do.
 */
export function cronEntries(classes: Iterable<JobClass>, codec: ArgumentCodec = {}): CronEntry[] {
  const entries = new Map<string, CronEntry>();
  for (const jobClass of classes) {
    for (const given of declared(jobClass)) {
      const entry = subject(effectiveName(jobClass), () => readEntry(jobClass, given, codec));
      const other = entries.get(entry.name)?.jobClass;
      if (other === jobClass) {
        throw new UserError(
          `${effectiveName(jobClass)}: two entries of its cron are named ${entry.name}; give one of them another name`,
        );
      }
      if (other) {
        const classes = `${effectiveName(other)} and ${effectiveName(jobClass)}`;
        throw new UserError(`${classes}: both have a cron named ${entry.name}; give one of them another name`);
      }
      entries.set(entry.name, entry);
    }
  }
  return [...entries.values()];
}

function declared({ cron }: JobClass): readonly CronOptions[] {
  if (cron === undefined || cron === null) return [];
  if (Array.isArray(cron)) return cron as readonly CronOptions[];
  return [typeof cron === 'string' ? { at: cron } : (cron as CronOptions)];
}

function readEntry(jobClass: JobClass, given: CronOptions, codec: ArgumentCodec): CronEntry {
  if (typeof given !== 'object' || given === null || typeof given.at !== 'string') {
    throw new UserError(`cron is ${JSON.stringify(given)}; give text such as '0 3 * * *', or { at: '0 3 * * *', … }`);
  }
  return { jobClass, ...checkCron({ name: effectiveName(jobClass), ...given }, codec) };
}

/** @throws UserError without a subject, for what cannot be. @throws what `serializeArguments` does. */
export function checkCron(given: CronOptions & { readonly name: string }, codec: ArgumentCodec): CheckedCron {
  const { at, timeZone = 'UTC', catchUp = 'once', args = [], name, ping } = given;
  if (!POLICIES.includes(catchUp)) {
    throw new UserError(`catchUp of cron '${at}' is ${JSON.stringify(catchUp)}; give ${POLICIES.join(', ')}`);
  }
  if (!NAME.test(name)) {
    throw new UserError(`name of cron '${at}' is ${JSON.stringify(name)}; give at most 200 characters without spaces`);
  }
  if (!Array.isArray(args)) {
    throw new UserError(`args of cron '${at}' is ${JSON.stringify(args)}; give an array of the arguments of perform`);
  }
  if (ping !== undefined && !(URL.canParse(ping) && /^https?:$/.test(new URL(ping).protocol))) {
    throw new UserError(`ping of cron '${at}' is ${JSON.stringify(ping)}; give an https:// or http:// URL`);
  }
  serializeArguments(`cron '${at}'`, args, codec);
  const schedule = new Schedule(at, timeZone);
  return { name, spec: at, timeZone, policy: catchUp, args, schedule, ...(ping !== undefined && { ping }) };
}

function subject<T>(className: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`${className}: ${error.message}`, EXIT.config), { cause: error });
  }
}
