import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as Flexible from 'rate-limiter-flexible';
import type { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { RedisClient } from '../core/redis';
import { Deadline } from '../support/deadline';
import type { Rate } from '../support/duration';

/**
 * Timeout of a count in Redis, ms. It is long enough for a Redis that is merely far away or busy, since this process's
 * own count misses the requests that other processes serve.
 */
const ANSWER_TIMEOUT_MS = 1000;

interface Counters {
  readonly shared: RateLimiterRedis | RateLimiterMemory;
  /** Counts of this process alone, used while Redis is unavailable. */
  readonly own: RateLimiterMemory;
}

/**
 * The rate limits of an app's routes. They count in Redis, for all processes together and across restarts. While Redis is
 * unavailable each process counts alone, so the limit is multiplied by the number of processes. Nobody waits for Redis.
 */
export class RateLimits {
  private unavailable = false;

  constructor(
    private readonly appName: string,
    /** undefined: only the requests of this process are counted. */
    private readonly redis: RedisClient | undefined,
  ) {}

  /** @param name keeps its counts apart from those of other limits. @param rate null allows everything. */
  limit(name: string, rate: Rate | null): RateLimit {
    return new RateLimit(rate && (() => this.counters(name, rate)), (ask) => this.inTime(ask));
  }

  /** Loads the package, at the first request that is counted. */
  private counters(name: string, { count, seconds }: Rate): Counters {
    const { RateLimiterMemory, RateLimiterRedis } = loadRateLimiters();
    const common = { keyPrefix: `catamount:limit:${this.appName}:${name}`, points: count, duration: seconds };
    const own = new RateLimiterMemory(common);
    if (!this.redis) return { shared: own, own };
    const shared = new RateLimiterRedis({
      ...common,
      storeClient: this.redis,
      useRedisPackage: true,
      rejectIfRedisNotReady: true,
      insuranceLimiter: own,
      // A client over the limit costs Redis no further commands.
      inMemoryBlockOnConsumed: count + 1,
    });
    return { shared, own };
  }

  /** Uses this process's own counts if Redis does not answer in time, and until it has answered the late command. */
  private async inTime<T>(ask: Ask<T>): Promise<T> {
    if (this.unavailable) return ask('own');
    const answer = ask('shared');
    if ((await Deadline.after(ANSWER_TIMEOUT_MS).wait(answer)) === 'done') return answer;
    this.unavailable = true;
    const answered = () => {
      this.unavailable = false;
    };
    answer.then(answered, answered);
    return ask('own');
  }
}

type Ask<T> = (whom: keyof Counters) => Promise<T>;

/** One limit: how many times within a period somebody may do something. */
export class RateLimit {
  private made: Counters | undefined;

  constructor(
    private readonly make: (() => Counters) | null,
    private readonly inTime: <T>(ask: Ask<T>) => Promise<T>,
  ) {}

  /** Counts one attempt. @returns 0 if it is allowed, else the seconds until the next one is. */
  async take(key: string): Promise<number> {
    const counters = this.counters();
    if (!counters) return 0;
    const name = hashKey(key);
    try {
      await this.inTime((whom) => counters[whom].consume(name));
      return 0;
    } catch (thrown) {
      if (thrown instanceof Error) throw thrown;
      return Math.max(1, Math.ceil((thrown as RateLimiterRes).msBeforeNext / 1000));
    }
  }

  /** Uncounts an attempt that came to nothing. */
  async giveBack(key: string): Promise<void> {
    const counters = this.counters();
    if (!counters) return;
    const name = hashKey(key);
    await this.inTime((whom) => counters[whom].reward(name)).catch(() => undefined);
  }

  /** Uncounts all attempts of `key`. */
  async forget(key: string): Promise<void> {
    const counters = this.counters();
    if (!counters) return;
    const name = hashKey(key);
    await this.inTime((whom) => counters[whom].delete(name)).catch(() => undefined);
  }

  private counters(): Counters | undefined {
    this.made ??= this.make?.();
    return this.made;
  }
}

/** Keys contain a digest, so that they are short and reveal no addresses. */
function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22);
}

/**
 * Loads only the Redis and memory stores of rate-limiter-flexible. The whole package, with a class for each store that
 * it supports, would take twice the time and memory.
 */
function loadRateLimiters(): Pick<typeof Flexible, 'RateLimiterRedis' | 'RateLimiterMemory'> {
  const ofThePackage = createRequire(require.resolve('rate-limiter-flexible'));
  return {
    RateLimiterRedis: ofThePackage('./lib/RateLimiterRedis') as typeof Flexible.RateLimiterRedis,
    RateLimiterMemory: ofThePackage('./lib/RateLimiterMemory') as typeof Flexible.RateLimiterMemory,
  };
}
