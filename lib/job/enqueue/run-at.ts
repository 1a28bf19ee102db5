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
      throw new TypeError(`wait is ${JSON.stringify(wait)}; give milliseconds or text such as '10s', '5m', '2h', '7d'`);
    }
    return inMs > 0 ? { inMs } : undefined;
  }
  if (waitUntil === undefined) return undefined;
  if (Number.isNaN(waitUntil.getTime())) throw new TypeError('waitUntil is an invalid Date');
  return waitUntil.getTime() > Date.now() ? { at: waitUntil } : undefined;
}
