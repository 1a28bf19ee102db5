const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNITS;

/** A length of time: milliseconds as a number, or text such as `500ms`, `10s`, `5m`, `2h`, `7d`. */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`;

/** A hundred years: what is longer is a mistake, and more than Postgres can add to a time. */
const LONGEST_MS = 36_525 * UNITS.d;

/**
 * @param bare the unit of text without one. Default `ms`.
 * @returns milliseconds, or `undefined` when the text is no duration, or is longer than a hundred years.
 */
export function parseDuration(value: string | number, bare: Unit = 'ms'): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(String(value).trim());
  if (!match) return undefined;
  const unit = (match[2] ?? (typeof value === 'number' ? 'ms' : bare)) as Unit;
  const ms = Math.round(Number(match[1]) * UNITS[unit]);
  return ms <= LONGEST_MS ? ms : undefined;
}
