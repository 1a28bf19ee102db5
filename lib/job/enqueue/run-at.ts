import { type Duration, parseDuration } from '../../support/duration';

/** When a job may run. Relative waits stay relative, so that the database's clock alone decides. */
export type RunAt = { readonly inMs: number } | { readonly at: Date };

/**
 * @returns undefined for "at once", which a moment in the past is too.
 * @throws TypeError for what is no length or point of time, or both at once.
 */
export function runAt(wait: Duration | undefined, waitUntil: Date | undefined): RunAt | undefined {
  if (wait !== undefined && waitUntil !== undefined) throw new TypeError('give either wait or waitUntil, not both');
  if (wait !== undefined) {
    const inMs = parseDuration(wait);
    if (inMs === undefined) {
      const advice = "give milliseconds or text such as '10s', '5m', '2h', '7d', at most 36525d";
      throw new TypeError(`wait is ${typeof wait === 'number' ? wait : JSON.stringify(wait)}; ${advice}`);
    }
    return inMs > 0 ? { inMs } : undefined;
  }
  if (waitUntil === undefined) return undefined;
  if (Number.isNaN(waitUntil.getTime())) throw new TypeError('waitUntil is an invalid Date');
  if (waitUntil.getTime() > LATEST) {
    throw new TypeError(`waitUntil is ${waitUntil.toISOString()}; give a date before the year 10000`);
  }
  return waitUntil.getTime() > Date.now() ? { at: waitUntil } : undefined;
}

/** Later ones are written with a sign, which Postgres does not read. */
const LATEST = Date.UTC(9999, 11, 31);
