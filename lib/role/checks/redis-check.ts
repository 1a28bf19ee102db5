import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { answerWithin, readInfo } from '../../core/redis-script';
import { isSentinelUrl, redisPlace } from '../../core/redis-url';
import { toError } from '../../support/async';

/** Time limit of the first connection, and of each answer, ms: a start does not wait for a Redis that is unavailable. */
const PATIENCE_MS = 2000;

interface RedisCheckOptions {
  readonly redis: Redis;
  readonly url: string;
  readonly events: Events;
  /** false: a processor has run jobs in this tree before, so a fault is only logged, and jobs continue. */
  readonly first: boolean;
}

/**
 * Looks for settings of Redis under which jobs would silently be lost or never run.
 * @throws UserError, exit code 78, with the setting and the remedy, at the first start of a tree.
 */
export async function checkRedis({ redis, url, events, first }: RedisCheckOptions): Promise<void> {
  await redis.start();
  await redis.firstAttempt(PATIENCE_MS);
  const warn = (message: string) => events.emit('process.warning', { message });
  try {
    // The sentinels may not know the name of the master.
    const isUnknown = !redis.client.isReady && first && isSentinelUrl(url);
    if (isUnknown) await (await import('../../core/redis-route')).locatorOf(url)();
    if (!redis.client.isReady) return await checkGreeting(redis, url, first);
    // INFO, since managed servers forbid CONFIG GET.
    const info = readInfo(await answerWithin(PATIENCE_MS, redis.client.info()));
    if (isSound(info)) return;
    const { doubtOf, faultOf } = await import('./redis-faults');
    const fault = faultOf(info, url);
    if (fault !== undefined && first) throw new UserError(`Redis at ${redisPlace(url)} ${fault}`, EXIT.config);
    const doubt = fault ?? doubtOf(info);
    if (doubt !== undefined) warn(`Redis at ${redisPlace(url)} ${doubt}`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (redis.client.isReady)
      warn(`The settings of Redis at ${redisPlace(url)} cannot be checked: ${toError(error).message}`);
  }
}

/** @throws UserError when there is no connection because the server is too old for one. */
async function checkGreeting(redis: Redis, url: string, first: boolean): Promise<void> {
  const error = await answerWithin(PATIENCE_MS, redis.ping()).then(() => undefined, toError);
  if (!first || !error) return;
  const fault = (await import('./redis-faults')).greetingFault(error);
  if (fault !== undefined) throw new UserError(`Redis at ${redisPlace(url)} ${fault}`, EXIT.config);
}

/** @returns true for the usual Redis, which needs no further check: a recent one, without cluster mode and `maxmemory`. */
function isSound(info: ReadonlyMap<string, string>): boolean {
  const isRecent = Number.parseInt(info.get('redis_version') ?? '', 10) > 6;
  return isRecent && info.get('cluster_enabled') === '0' && info.get('maxmemory') === '0';
}
