/** What a cron expression means, by trying every minute: slow, short, and independent of the library in use. */
import fc from 'fast-check';

export interface Field {
  readonly text: string;
  readonly values: ReadonlySet<number>;
  /** `*` or a step. */
  readonly wild: boolean;
}

export interface Expression {
  readonly minute: Field;
  readonly hour: Field;
  readonly day: Field;
  readonly month: Field;
  readonly weekday: Field;
}

export const textOf = ({ minute, hour, day, month, weekday }: Expression): string =>
  [minute, hour, day, month, weekday].map((field) => field.text).join(' ');

const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);

const every: Field = { text: '*', values: new Set(range(0, 59)), wild: true };

function field(min: number, max: number): fc.Arbitrary<Field> {
  const number = fc.integer({ min, max });
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(every) },
    { weight: 3, arbitrary: number.map((n) => ({ text: `${n}`, values: new Set([n]), wild: false })) },
    fc.tuple(number, number).map(([a, b]) => ({ text: `${a},${b}`, values: new Set([a, b]), wild: false })),
    fc.tuple(number, number).map(([a, b]) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      return { text: `${from}-${to}`, values: new Set(range(from, to)), wild: false };
    }),
  );
}

function steps(min: number, max: number): fc.Arbitrary<Field> {
  const step = fc.integer({ min: 2, max: max - min });
  return step.map((n) => ({ text: `*/${n}`, values: new Set(range(min, max, n)), wild: true }));
}

/** Expressions that match every day, at fixed times or at intervals. */
export const dailyExpression: fc.Arbitrary<Expression> = fc.record({
  minute: fc.oneof(field(0, 59), steps(0, 59)),
  hour: fc.oneof(field(0, 23), steps(0, 23)),
  day: fc.constant(every),
  month: fc.constant(every),
  weekday: fc.constant(every),
});

/** Expressions that restrict days, months and weekdays, too. */
export const expression: fc.Arbitrary<Expression> = fc.record({
  minute: fc.oneof(field(0, 59), steps(0, 59)),
  hour: fc.oneof(field(0, 23), steps(0, 23)),
  day: fc.oneof({ weight: 2, arbitrary: fc.constant(every) }, { weight: 1, arbitrary: field(1, 28) }),
  month: fc.oneof({ weight: 4, arbitrary: fc.constant(every) }, { weight: 1, arbitrary: field(1, 12) }),
  weekday: fc.oneof({ weight: 2, arbitrary: fc.constant(every) }, { weight: 1, arbitrary: field(0, 6) }),
});

const MINUTE = 60_000;

interface Wall {
  readonly at: number;
  /** Local date and time; texts sort like times. */
  readonly text: string;
  readonly date: string;
}

/** @returns the ticks after `after`, up to and including `until`. */
export function ticksByModel(expression: Expression, timeZone: string, after: Date, until: Date): Date[] {
  const wallOf = wallClock(timeZone);
  const walls: Wall[] = [];
  // One more day on either side, since a gap may end within the span.
  const first = Math.floor(after.getTime() / MINUTE) * MINUTE - 86_400_000;
  for (let at = first; at <= until.getTime() + 86_400_000; at += MINUTE) walls.push(wallOf(at));
  const { minute, hour } = expression;
  const found = minute.wild || hour.wild ? intervals(expression, walls) : fixedTimes(expression, walls);
  return [...new Set(found)]
    .filter((at) => at > after.getTime() && at <= until.getTime())
    .sort((a, b) => a - b)
    .map((at) => new Date(at));
}

/** Every minute whose local time matches. */
function intervals(expression: Expression, walls: readonly Wall[]): number[] {
  const { minute, hour } = expression;
  return walls
    .filter(({ text, date }) => {
      const [h = 0, m = 0] = text.slice(11).split(':').map(Number);
      return minute.values.has(m) && hour.values.has(h) && fits(expression, date);
    })
    .map((wall) => wall.at);
}

/** For each day and time: the first minute with that local time, or the first one after the gap that contains it. */
function fixedTimes(expression: Expression, walls: readonly Wall[]): number[] {
  const found: number[] = [];
  for (const date of new Set(walls.map((wall) => wall.date))) {
    if (!fits(expression, date)) continue;
    for (const h of expression.hour.values) {
      for (const m of expression.minute.values) {
        const wanted = `${date} ${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`;
        const at = walls.findIndex((wall) => wall.text >= wanted);
        if (at > 0) found.push(walls[at]?.at ?? Number.NaN);
      }
    }
  }
  return found;
}

function fits({ day, month, weekday }: Expression, date: string): boolean {
  const [y = 0, m = 0, d = 0] = date.split('-').map(Number);
  const dayFits = day.values.has(d);
  const weekdayFits = weekday.values.has(new Date(Date.UTC(y, m - 1, d)).getUTCDay());
  // Cron's oldest surprise: if both day and weekday are restricted, either may match.
  const either = !day.wild && !weekday.wild ? dayFits || weekdayFits : dayFits && weekdayFits;
  return month.values.has(m) && either;
}

function wallClock(timeZone: string): (at: number) => Wall {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  return (at) => {
    const text = timeZone === 'UTC' ? new Date(at).toISOString().slice(0, 16).replace('T', ' ') : format.format(at);
    return { at, text, date: text.slice(0, 10) };
  };
}

/** @returns the hours between two moments in which a zone's clocks change. */
export function clockChanges(timeZone: string, from: Date, to: Date): Date[] {
  const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset', hour: 'numeric' });
  const offsetAt = (ms: number) => format.format(ms).split('GMT')[1];
  const changes: Date[] = [];
  const DAY = 86_400_000;
  for (let day = from.getTime(); day < to.getTime(); day += DAY) {
    if (offsetAt(day) === offsetAt(day + DAY)) continue;
    let hour = day;
    while (offsetAt(hour) === offsetAt(hour + DAY / 24)) hour += DAY / 24;
    changes.push(new Date(hour));
  }
  return changes;
}
