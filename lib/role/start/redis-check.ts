import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { asSentence } from '../../core/finding';
import type { Redis } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { redisPlace } from '../../core/redis-url';
import { toError } from '../../support/to-error';
import { findings } from '../checks/all-checks';
import { greetingFault, type RedisContext, redisContext } from '../checks/redis';

/** Time limit of the first connection, and of the greeting, ms: a start does not wait for a Redis that is unavailable. */
const PATIENCE_MS = 2000;

interface RedisCheckOptions extends Pick<RedisContext, 'appName' | 'config'> {
  readonly redis: Redis;
  readonly url: string;
  readonly events: Events;
  /** false: it replaces a processor of this tree that has died, so a fault is only logged, and jobs continue. */
  readonly mayRefuse: boolean;
}

/**
 * Looks for settings of Redis under which jobs would never run, or something would be lost. If Redis is unavailable at the
 * start, its settings are read once it is available, and findings are only logged.
 * @throws UserError, exit code 78, with the setting and the remedy, at the start of a tree and in a phased restart.
 */
export async function checkRedis({ redis, url, events, mayRefuse, ...own }: RedisCheckOptions): Promise<void> {
  const { client } = redis;
  const name = `Redis at ${redisPlace(url)}`;
  const warn = (message: string) => events.emit('process.warning', { message });
  const check = async (refuses: boolean) => {
    try {
      for (const each of await findings('redis', 'start', redisContext({ name, client, ...own }))) {
        if (refuses && each.severity === 'error') throw new UserError(asSentence(each), EXIT.config);
        warn(asSentence(each));
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      if (client.isReady) warn(`The settings of ${name} cannot be checked: ${toError(error).message}`);
    }
  };
  const connected = events.next('redis.ready');
  await redis.start();
  await redis.firstAttempt(PATIENCE_MS);
  if (client.isReady) return check(mayRefuse);
  const error = await answerWithin(PATIENCE_MS, redis.ping()).then(() => undefined, toError);
  const fault = error && greetingFault(error);
  if (mayRefuse && fault !== undefined) throw new UserError(`${name} ${fault}`, EXIT.config);
  void connected.then(() => check(false));
}
