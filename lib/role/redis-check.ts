import { EXIT, UserError } from '../core/errors';
import type { Events } from '../core/events';
import { PROBE_KEY, type Redis } from '../core/redis';
import { answerWithin } from '../core/redis-script';
import { keyPrefixOf } from '../core/redis-url';
import { toError } from '../support/async';

/** Time limit of the first connection, and of each answer, ms: a start does not wait for a Redis that is away. */
const PATIENCE_MS = 2000;

interface RedisCheckOptions {
  readonly redis: Redis;
  readonly url: string;
  readonly events: Events;
  /** false: a processor has been at work in this tree, so a fault is told, but jobs go on as before. */
  readonly first: boolean;
}

/**
 * Looks for settings of Redis under which jobs would be lost or stand still without a word.
 * @throws UserError, exit code 78, with the setting and the remedy, at the first start of a tree.
 */
export async function checkRedis({ redis, url, events, first }: RedisCheckOptions): Promise<void> {
  await redis.start();
  await redis.firstAttempt(PATIENCE_MS);
  if (!redis.client.isReady) return;
  const { host } = new URL(url);
  const warn = (message: string) => events.emit('process.warning', { message });
  try {
    // INFO, since managed servers forbid CONFIG GET.
    const [memory, cluster] = await Promise.all([
      answerWithin(PATIENCE_MS, redis.client.info('memory')),
      answerWithin(PATIENCE_MS, redis.client.info('cluster')),
    ]);
    const fault = clusterFault(cluster, url) ?? (await slotFault(redis, url)) ?? evictionFault(memory);
    if (fault !== undefined && first) throw new UserError(`Redis at ${host} ${fault}`, EXIT.config);
    const doubt = fault ?? evictionDoubt(memory);
    if (doubt !== undefined) warn(`Redis at ${host} ${doubt}`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    warn(`The settings of Redis at ${host} cannot be checked: ${toError(error).message}`);
  }
}

function clusterFault(cluster: string, url: string): string | undefined {
  if (!/^cluster_enabled:1/m.test(cluster) || keyPrefixOf(url) !== '') return undefined;
  return 'is in cluster mode, which needs all keys of an app in one slot: set REDIS_PREFIX to the name of the app.';
}

async function slotFault({ client }: Redis, url: string): Promise<string | undefined> {
  const rejection = await answerWithin(PATIENCE_MS, client.del(PROBE_KEY)).then(() => undefined, toError);
  const owner = /^MOVED \d+ (\S+)/.exec(rejection?.message ?? '')?.[1];
  if (owner === undefined) return undefined;
  return `is the node of a cluster that does not have the keys of ${keyPrefixOf(url)}: let the Redis URL lead to ${owner}.`;
}

function evictionFault(memory: string): string | undefined {
  const policy = evictionPolicy(memory);
  if (!policy?.startsWith('allkeys-')) return undefined;
  return `would delete jobs when its memory is full: set its maxmemory-policy, which is ${policy}, to noeviction.`;
}

function evictionDoubt(memory: string): string | undefined {
  const policy = evictionPolicy(memory);
  if (policy === undefined) return undefined;
  return `deletes sessions and counts of rate limits when its memory is full: set its maxmemory-policy, which is ${policy}, to noeviction.`;
}

/** @returns the policy by which keys are deleted; undefined when none ever is. */
function evictionPolicy(memory: string): string | undefined {
  const limit = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0);
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  return limit === 0 || policy === 'noeviction' ? undefined : policy;
}
