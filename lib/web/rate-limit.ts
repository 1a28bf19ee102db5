import { createHash } from 'node:crypto';
import type { RedisClient } from '../core/redis';
import { Deadline } from '../support/async';
import type { Rate } from '../support/duration';
import type { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from './rate-limiter-driver';

/**
 * Nobody waits longer for a Redis that says nothing, ms. One that is only far away or busy answers sooner: what it would
 * refuse must not be counted here, where each process knows of its own callers only.
 */
const ANSWER_TIMEOUT_MS = 1000;

interface Counters {
  readonly shared: RateLimiterRedis;
  /** Of this process alone, for the time that Redis is away. */
  readonly own: RateLimiterMemory;
}

/**
 * The limits of an app's routes. They count in Redis, for all processes together and through their restarts. While that is
 * away each process counts for itself: so many more than allowed get through as there are processes, and nobody waits.
 */
export class RateLimits {
  private silent = false;

  constructor(
    private readonly appName: string,
    private readonly redis: RedisClient,
  ) {}

  /** @param name tells its counts from those of others. @param rate null: whatever is asked for is allowed. */
  limit(name: string, rate: Rate | null): RateLimit {
    return new RateLimit(rate && (() => this.counters(name, rate)), (ask) => this.inTime(ask));
  }

  /** Loaded with the first request that is counted. */
  private counters(name: string, { count, seconds }: Rate): Counters {
    const { loadRateLimiters } = require('./rate-limiter-driver') as typeof import('./rate-limiter-driver');
    const { RateLimiterMemory, RateLimiterRedis } = loadRateLimiters();
    const common = { keyPrefix: `catamount:limit:${this.appName}:${name}`, points: count, duration: seconds };
    const own = new RateLimiterMemory(common);
    const shared = new RateLimiterRedis({
      ...common,
      storeClient: this.redis,
      useRedisPackage: true,
      rejectIfRedisNotReady: true,
      insuranceLimiter: own,
      // Who has had too many costs Redis nothing any more.
      inMemoryBlockOnConsumed: count + 1,
    });
    return { shared, own };
  }

  /** A Redis that takes questions and does not answer is asked again when it has answered the one that was too late. */
  private async inTime<T>(ask: Ask<T>): Promise<T> {
    if (this.silent) return ask('own');
    const answer = ask('shared');
    if ((await Deadline.after(ANSWER_TIMEOUT_MS).wait(answer)) === 'done') return answer;
    this.silent = true;
    const answered = () => {
      this.silent = false;
    };
    answer.then(answered, answered);
    return ask('own');
  }
}

type Ask<T> = (whom: keyof Counters) => Promise<T>;

/** How often somebody may do something. */
export class RateLimit {
  private made: Counters | undefined;

  constructor(
    private readonly make: (() => Counters) | null,
    private readonly inTime: <T>(ask: Ask<T>) => Promise<T>,
  ) {}

  /** Counts one. @returns 0 when that is allowed, else the seconds until it is. */
  async take(key: string): Promise<number> {
    const counters = this.counters();
    if (!counters) return 0;
    const name = digestOf(key);
    try {
      await this.inTime((whom) => counters[whom].consume(name));
      return 0;
    } catch (thrown) {
      if (thrown instanceof Error) throw thrown;
      return Math.max(1, Math.ceil((thrown as RateLimiterRes).msBeforeNext / 1000));
    }
  }

  /** It did not come about, so it does not count. */
  async giveBack(key: string): Promise<void> {
    const counters = this.counters();
    if (!counters) return;
    const name = digestOf(key);
    await this.inTime((whom) => counters[whom].reward(name)).catch(() => undefined);
  }

  private counters(): Counters | undefined {
    this.made ??= this.make?.();
    return this.made;
  }
}

/** Neither addresses nor anything long in the names of keys. */
function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22);
}
