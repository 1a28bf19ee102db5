import { keyPrefixOf } from '../core/redis-url';

/** The oldest version: earlier ones have no BLMOVE, by which a job wakes one processor. Valkey reports 7.2. */
const LEAST = 6.2;

/** The fields of INFO. */
export type Info = ReadonlyMap<string, string>;

/** @returns the end of a sentence about a Redis with which jobs are lost or never run; undefined for any other. */
export function faultOf(info: Info, url: string): string | undefined {
  return versionFault(info) ?? clusterFault(info, url) ?? evictionFault(info);
}

/** @returns the end of a sentence about a Redis that loses no jobs, but sessions; undefined for any other. */
export function doubtOf(info: Info): string | undefined {
  const policy = evictionPolicy(info);
  if (policy === undefined) return undefined;
  return `deletes sessions and counts of rate limits when its memory is full: set its maxmemory-policy, which is ${policy}, to noeviction.`;
}

/**
 * @param error that ended a connection.
 * @returns the same about a Redis that does not know the client's first command, which came with 6.0.
 */
export function greetingFault(error: Error): string | undefined {
  return /unknown command .?HELLO\b/i.test(error.message)
    ? `is older than 6.0, since it does not know HELLO, and cannot keep the queues: use ${LEAST} or newer.`
    : undefined;
}

/** @returns the same about its version. */
export function versionFault(info: Info): string | undefined {
  const version = info.get('redis_version') ?? '';
  // Minor versions of Redis have one digit.
  return Number.parseFloat(version) < LEAST
    ? `is version ${version}, which cannot keep the queues: use ${LEAST} or newer.`
    : undefined;
}

/** @returns the same about cluster mode. */
export function clusterFault(info: Info, url: string): string | undefined {
  if (info.get('cluster_enabled') !== '1' || keyPrefixOf(url) !== '') return undefined;
  return 'is in cluster mode, which needs all keys of an app in one slot: set REDIS_PREFIX to the name of the app.';
}

function evictionFault(info: Info): string | undefined {
  const policy = evictionPolicy(info);
  if (!policy?.startsWith('allkeys-')) return undefined;
  return `would delete jobs when its memory is full: set its maxmemory-policy, which is ${policy}, to noeviction.`;
}

/** @returns the policy by which keys are deleted; undefined when none ever is. */
function evictionPolicy(info: Info): string | undefined {
  const policy = info.get('maxmemory_policy');
  return Number(info.get('maxmemory') ?? 0) === 0 || policy === 'noeviction' ? undefined : policy;
}
