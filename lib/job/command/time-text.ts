import { fromNow } from '../../support/short-time';

const NONE = '–';

/** `5 min ago`, for a column of a table. */
export function shortMoment(iso: string | null): string {
  return iso === null ? NONE : fromNow(new Date(iso));
}

/** `2026-11-25 12:00:01 UTC (5 min ago)`. */
export function fullMoment(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC (${fromNow(new Date(iso))})`;
}
