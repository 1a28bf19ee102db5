import { keyPrefixOf } from '../../core/redis-url';

/** The oldest version: earlier ones have no RPOP that takes several hints. Valkey reports 7.2. */
const LEAST = 6.2;

/** The fields of INFO. */
export type Info = ReadonlyMap<string, string>;

/** @returns the end of a sentence about a Redis that cannot be used; undefined for any other. */
export function faultOf(info: Info, url: string): string | undefined {
  return versionFault(info) ?? clusterFault(info, url);
}

/** @returns the end of a sentence about a Redis that forgets; undefined for any other. */
export function doubtOf(info: Info): string | undefined {
  const policy = evictionPolicy(info);
  if (policy === undefined) return undefined;
  return `deletes counts of rate limits and the history of jobs when its memory is full: set its maxmemory-policy, which is ${policy}, to noeviction.`;
}

/**
 * @param error that ended a connection.
 * @returns the same about a Redis that does not know the client's first command, which came with 6.0.
 */
export function greetingFault(error: Error): string | undefined {
  return /unknown command .?HELLO\b/i.test(error.message)
    ? `is older than 6.0, since it does not know HELLO, and cannot be used: use ${LEAST} or newer.`
    : undefined;
}

/** @returns the same about its version. */
export function versionFault(info: Info): string | undefined {
  const version = info.get('redis_version') ?? '';
  // Minor versions of Redis have one digit.
  return Number.parseFloat(version) < LEAST
    ? `is version ${version}, which cannot be used: use ${LEAST} or newer.`
    : undefined;
}

/** @returns the same about cluster mode. */
export function clusterFault(info: Info, url: string): string | undefined {
  if (info.get('cluster_enabled') !== '1' || keyPrefixOf(url) !== '') return undefined;
  return 'is in cluster mode, which needs all keys of an app in one slot: set REDIS_PREFIX to the name of the app.';
}

/** @returns the policy by which keys are deleted; undefined when none ever is. */
function evictionPolicy(info: Info): string | undefined {
  const policy = info.get('maxmemory_policy');
  return Number(info.get('maxmemory') ?? 0) === 0 || policy === 'noeviction' ? undefined : policy;
}
