const UNITS: Readonly<Record<DurationUnit, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** The units of a duration in text, days the longest. */
export type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd';

/** A length of time: milliseconds as a number, or text such as `500ms`, `10s`, `5m`, `2h`, `7d`. */
export type Duration = number | `${number}${DurationUnit}` | `${number} ${DurationUnit}`;

/** A hundred years; longer durations are mistakes, and Postgres cannot add them to a time. */
const MAX_MS = 36_525 * UNITS.d;

/**
 * @param bare the unit of text without one. Default `ms`.
 * @returns milliseconds, or `undefined` when the text is no duration, or is longer than a hundred years.
 */
export function parseDuration(value: string | number, bare: DurationUnit = 'ms'): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(String(value).trim());
  if (!match) return undefined;
  const unit = (match[2] ?? (typeof value === 'number' ? 'ms' : bare)) as DurationUnit;
  const ms = Math.round(Number(match[1]) * UNITS[unit]);
  return ms <= MAX_MS ? ms : undefined;
}

const SHORT_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/**
 * Formats a duration in one unit: the largest of which there are at least two, seconds from one on: `12 ms`, `90 s`,
 * `30 h`, `12 d`.
 */
export function formatDuration(ms: number): string {
  const [unit, length] = SHORT_UNITS.find(([, unitMs]) => ms >= (unitMs === 1000 ? 1 : 1.99) * unitMs) ?? ['ms', 1];
  return `${Math.round(Math.max(0, ms) / length)} ${unit}`;
}

/** Formats a measured duration: `4 ms`, `1.2 s`. */
export function formatElapsed(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Formats a time relative to now: `3 s ago`, `in 5 min`, or `now`. */
export function fromNow(at: Date, now: number = Date.now()): string {
  const ms = at.getTime() - now;
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `in ${formatDuration(ms)}` : `${formatDuration(-ms)} ago`;
}

/** Formats a duration in its two greatest units: `3 h 12 min`. */
export function formatSpan(ms: number): string {
  const first = SHORT_UNITS.findIndex(([, unitMs]) => ms >= unitMs);
  if (first === -1) return '0 s';
  let left = ms;
  const parts = SHORT_UNITS.slice(first, first + 2).map(([unit, unitMs]) => {
    const count = Math.floor(left / unitMs);
    left -= count * unitMs;
    return `${count} ${unit}`;
  });
  return parts.join(' ');
}

/** A number of events per time. */
export interface Rate {
  /** Maximum number of events within the period. */
  readonly count: number;
  /** The period, from 1 to 86,400. */
  readonly seconds: number;
}

/** Parses a rate such as `60/1h`. @returns undefined when it is none, or its time is not from a second to a day. */
export function parseRate(text: string): Rate | undefined {
  const [, count, per = ''] = /^([1-9]\d{0,8})\s*\/\s*(\S.*)$/.exec(text.trim()) ?? [];
  const seconds = (parseDuration(per, 's') ?? 0) / 1000;
  return count !== undefined && Number.isInteger(seconds) && seconds >= 1 && seconds <= 86_400
    ? { count: Number(count), seconds }
    : undefined;
}
