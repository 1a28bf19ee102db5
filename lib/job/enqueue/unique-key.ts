import { createHash } from 'node:crypto';
import { parseDuration } from '../../support/duration';
import type { JobClass, UniqueOptions } from '../job-class';
import type { JsonValue } from '../record/json';
import { type ArgumentCodec, serializeArguments } from './arguments';
import type { UniqueClaim } from './request';

/** What `static unique` of a class asks for. */
export interface UniqueRule extends Omit<UniqueClaim, 'key'> {
  readonly by: UniqueOptions['by'];
}

/** @returns undefined for a class that is not unique. @throws TypeError that names the class, for what makes no sense. */
export function uniqueRule({ unique }: Pick<JobClass, 'unique'>, name: string): UniqueRule | undefined {
  if (!unique) return undefined;
  if (unique !== true && typeof unique !== 'object') {
    throw new TypeError(`${name}: unique is ${JSON.stringify(unique)}; give true, or options: { until: 'executing' }`);
  }
  const { by, until = 'executed', ttl } = unique === true ? {} : unique;
  if (by !== undefined && typeof by !== 'function') {
    throw new TypeError(`${name}: unique.by is ${JSON.stringify(by)}; give a function of the arguments`);
  }
  if (until !== 'executed' && until !== 'executing') {
    throw new TypeError(`${name}: unique.until is ${JSON.stringify(until)}; give 'executed' or 'executing'`);
  }
  const ttlMs = ttl === undefined ? null : parseDuration(ttl);
  if (ttlMs === 0 || ttlMs === undefined)
    throw new TypeError(`${name}: unique.ttl is ${JSON.stringify(ttl)}; give a length of time such as '10m'`);
  return { by, until, ttlMs };
}

/**
 * The claim of one job. Its key is made of the class's name and a digest of what `by` gives for the arguments, in which
 * the order of an object's keys counts for nothing.
 * @throws TypeError for a `by` that gives what cannot travel.
 */
export function uniqueClaim(
  { by, until, ttlMs }: UniqueRule,
  name: string,
  args: readonly unknown[],
  codec: ArgumentCodec,
): UniqueClaim {
  const parts = by ? [by(...(args as never[]))] : args;
  const json = serializeArguments(`${name}, unique.by`, parts, codec);
  const digest = createHash('sha256').update(canonicalJson(json)).digest('base64url');
  return { key: `${name}:${digest}`, until, ttlMs };
}

/** The same text for the same value, whatever the order of its keys. */
function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_, part: JsonValue) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
