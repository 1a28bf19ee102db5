import { createHash } from 'node:crypto';
import { parseDuration } from '../../support/duration';
import type { JobClass, LimitOptions, RateOptions } from './job-class';

/** The checked limits of a class. They apply to each key by itself; without a key function the class has one key, its name. */
export interface LimitRule {
  /** Maximum number of jobs of a key that run at once; null means no limit. */
  readonly count: number | null;
  /** Time between the starts of two jobs of a key, ms; null means no rate. */
  readonly gapMs: number | null;
  /** Jobs of a key that may start sooner than that after a quiet time. */
  readonly burst: number;
  readonly key: ((...args: never[]) => unknown) | undefined;
}

/** The limits of classes, by job name. */
export type Limits = ReadonlyMap<string, LimitRule>;

/** Keys that are stored as they are. Postgres can store no NUL and no lone surrogates, and an index has no room for long ones. */
const PLAIN_KEY = /^[^\p{Cc}\p{Cs}]{0,200}$/u;

/** @returns undefined for a class without limits. @throws TypeError that names the class, for invalid options. */
export function limitRule({ limit, rate }: Pick<JobClass, 'limit' | 'rate'>, name: string): LimitRule | undefined {
  if (limit === undefined && rate === undefined) return undefined;
  const count = limit === undefined ? null : readCount(limit, name);
  const { gapMs, burst } = rate === undefined ? { gapMs: null, burst: 0 } : readRate(rate, name);
  return { count, gapMs, burst, key: readKey(limit, rate, name) };
}

function readCount(limit: LimitOptions, name: string): number {
  const shown = JSON.stringify(limit) ?? String(limit);
  if (typeof limit !== 'object' || limit === null)
    throw new TypeError(
      `${name}: limit is ${shown}; give { count: 1 }, and a key if it is for each key: { count: 1, key }`,
    );
  const { count } = limit;
  if (!Number.isSafeInteger(count) || count < 1)
    throw new TypeError(`${name}: limit is ${shown}; let count be a whole number from 1`);
  return count;
}

function readRate(rate: RateOptions, name: string): { readonly gapMs: number; readonly burst: number } {
  const shown = JSON.stringify(rate) ?? String(rate);
  const { limit, per, burst = 0 } = Object(rate) as Partial<RateOptions>;
  const perMs = per === undefined ? undefined : parseDuration(per);
  if (!isWhole(limit, 1) || !perMs || !isWhole(burst, 0))
    throw new TypeError(
      `${name}: rate is ${shown}; give whole numbers and a length of time: { limit: 10, per: '1s', burst: 5 }`,
    );
  return { gapMs: perMs / limit, burst };
}

function isWhole(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

/** A job has one key, which its limit and its rate share. */
function readKey(limit: LimitOptions | undefined, rate: RateOptions | undefined, name: string): LimitRule['key'] {
  for (const [of, options] of Object.entries({ limit, rate })) {
    const key: unknown = options?.key;
    if (key !== undefined && typeof key !== 'function')
      throw new TypeError(`${name}: ${of}.key is ${JSON.stringify(key)}; give a function of the arguments`);
  }
  if (!limit || !rate || limit.key === rate.key) return limit?.key ?? rate?.key;
  const [ofLimit, ofRate] = [limit.key, rate.key];
  if (!ofLimit || !ofRate)
    throw new TypeError(
      `${name}: ${ofLimit ? 'limit' : 'rate'} has a key; give the same to limit and rate, or to neither`,
    );
  return (...args) => {
    const [one, other] = [ofLimit(...args), ofRate(...args)];
    if (one === other) return one;
    throw new TypeError(
      `${name}: limit.key is ${String(one)} and rate.key is ${String(other)}; let them return the same`,
    );
  };
}

/** Makes the digests that stand in for keys where arguments are encrypted. */
export interface Digests {
  digest(text: string): string;
}

/**
 * @param args as `perform` would get them.
 * @param digests stands in for the key where arguments are encrypted.
 * @returns what all jobs have in common that the rule counts together.
 * @throws TypeError when the key function returns neither text nor a number.
 */
export function limitKey({ key }: LimitRule, name: string, args: readonly unknown[], digests?: Digests): string {
  if (!key) return name;
  const value = key(...(args as never[]));
  if (typeof value !== 'string' && typeof value !== 'bigint' && !Number.isFinite(value)) {
    const shown = digests ? `of the type ${typeof value}` : (JSON.stringify(value) ?? String(value));
    throw new TypeError(
      `${name}: the key of its limit or rate is ${shown} for these arguments; return text or a number`,
    );
  }
  return keyOf(name, String(value), digests);
}

/** @returns the key of a class for what its key function returned. */
export function keyOf(name: string, text: string, digests?: Digests): string {
  if (digests) return `${name}:${digests.digest(text)}`;
  return `${name}:${PLAIN_KEY.test(text) ? text : createHash('sha256').update(text).digest('base64url')}`;
}
