import { createHash } from 'node:crypto';
import type { JobClass } from './job-class';

/** The checked limits of a class. They apply to each key by itself; without a key function the class has one key, its name. */
export interface LimitRule {
  /** Maximum number of jobs of a key that run at once; null means no limit. */
  readonly count: number | null;
  readonly key: ((...args: never[]) => unknown) | undefined;
}

/** The limits of classes, by job name. */
export type Limits = ReadonlyMap<string, LimitRule>;

/** Keys that are stored as they are. Postgres can store no NUL and no lone surrogates, and an index has no room for long ones. */
const PLAIN_KEY = /^[^\p{Cc}\p{Cs}]{0,200}$/u;

/** @returns undefined for a class without limits. @throws TypeError that names the class, for invalid options. */
export function limitRule({ limit }: Pick<JobClass, 'limit'>, name: string): LimitRule | undefined {
  if (limit === undefined) return undefined;
  const shown = JSON.stringify(limit) ?? String(limit);
  if (typeof limit !== 'object' || limit === null)
    throw new TypeError(
      `${name}: limit is ${shown}; give { count: 1 }, and a key if it is for each key: { count: 1, key }`,
    );
  const { count, key } = limit;
  if (!Number.isSafeInteger(count) || count < 1)
    throw new TypeError(`${name}: limit is ${shown}; let count be a whole number from 1`);
  checkKey(key, name, 'limit');
  return { count, key };
}

function checkKey(key: unknown, name: string, of: string): void {
  if (key === undefined || typeof key === 'function') return;
  throw new TypeError(`${name}: ${of}.key is ${JSON.stringify(key)}; give a function of the arguments`);
}

/**
 * @param args as `perform` would get them.
 * @returns what all jobs have in common that the rule counts together.
 * @throws TypeError when the key function returns neither text nor a number.
 */
export function limitKey({ key }: LimitRule, name: string, args: readonly unknown[]): string {
  if (!key) return name;
  const value = key(...(args as never[]));
  if (typeof value !== 'string' && typeof value !== 'bigint' && !Number.isFinite(value)) {
    const shown = JSON.stringify(value) ?? String(value);
    throw new TypeError(`${name}: the key of its limit is ${shown} for these arguments; return text or a number`);
  }
  const text = String(value);
  return `${name}:${PLAIN_KEY.test(text) ? text : createHash('sha256').update(text).digest('base64url')}`;
}
