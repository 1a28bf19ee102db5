import { setTimeout as wait } from 'node:timers/promises';
import { inspect } from 'node:util';
import { WAIT_LIMIT_MS } from './wait-limit';

export interface UntilOptions {
  /** For runs of a given length, such as chaos. Tests keep WAIT_LIMIT_MS, so none depends on the machine's speed. */
  readonly timeoutMs?: number;
  /** Default: 5 at first, then a twentieth of the time waited, up to 50, since what is asked may be a page or all processes. */
  readonly everyMs?: number;
}

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;

/**
 * Polls `predicate` until it returns something truthy, and resolves with it. An exception counts as "not yet".
 * @param description completes "until …" in the error message, such as "both workers are ready".
 * @throws Error with the last value or exception if that does not happen in time.
 */
export async function until<T>(
  description: string,
  predicate: () => T | Promise<T>,
  { timeoutMs = WAIT_LIMIT_MS, everyMs }: UntilOptions = {},
): Promise<Truthy<T>> {
  const begun = performance.now();
  const end = begun + timeoutMs;
  let seen: unknown;
  do {
    try {
      const value = await predicate();
      if (value) return value as Truthy<T>;
      seen = value;
    } catch (error) {
      seen = error;
    }
    await wait(everyMs ?? Math.min(50, Math.max(5, (performance.now() - begun) / 20)));
  } while (performance.now() < end);
  throw new Error(`Waited ${timeoutMs} ms until ${description}. Last seen: ${inspect(seen, { depth: 4 })}`);
}
