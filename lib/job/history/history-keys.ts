const PREFIX = 'catamount:history:';

export const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;
/** How long minutes are kept, s: a day, and an hour to look at it. */
export const MINUTE_TTL_S = 25 * 3600;
export const DAYS_KEPT = 180;
export const TOTALS_KEY = 'catamount:totals';
/** What the classes beyond the limit are counted as. */
export const OTHER_CLASSES = '(other classes)';

/** hash of that minute: `catamount:history:202611250405`. UTC. */
export function minuteKey(at: number): string {
  return PREFIX + new Date(at).toISOString().slice(0, 16).replace(/[-T:]/g, '');
}

/** hash of that day: `catamount:history:20261125`. UTC. */
export function dayKey(at: number): string {
  return PREFIX + new Date(at).toISOString().slice(0, 10).replaceAll('-', '');
}

/** string: the number of the last part of its history that a processor has handed over. */
export function handedOverKey(identity: string): string {
  return `${PREFIX}handed-over:${identity}`;
}
