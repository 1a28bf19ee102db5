import { createHash } from 'node:crypto';
import type { RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { Deadline } from '../support/deadline';
import type { Rate } from '../support/duration';

/**
 * Timeout of a count in Redis, ms. It is long enough for a Redis that is merely far away or busy, since this process's
 * own count misses the requests that other processes serve.
 */
const ANSWER_TIMEOUT_MS = 1000;

/** Counts one attempt for each key, up to the first whose limit is exceeded. @returns its time left, ms; 0: all are allowed. */
const TAKE = new RedisScript(`
  for i, key in ipairs(KEYS) do
    local count = redis.call('incr', key)
    if count == 1 then redis.call('pexpire', key, ARGV[2 * i]) end
    if count > tonumber(ARGV[2 * i - 1]) then return {i, redis.call('pttl', key)} end
  end
  return {0, 0}`);
const GIVE_BACK = new RedisScript(`
  if tonumber(redis.call('get', KEYS[1]) or 0) > 0 then redis.call('decr', KEYS[1]) end`);

/** What is counted under one key: at most `count` in each period of `ms`, which begins with the first. */
interface Attempt {
  readonly key: string;
  readonly count: number;
  readonly ms: number;
}

/**
 * The rate limits of an app's routes. They count in Redis, for all processes together and across restarts. While Redis is
 * unavailable each process counts alone, so the limit is multiplied by the number of processes. Nobody waits for Redis.
 */
export class RateLimits {
  /** Counts of this process alone, for as long as Redis is unavailable, and keys over their limit, which cost Redis no commands. */
  private readonly own = new Windows();
  private isSilent = false;

  constructor(
    private readonly appName: string,
    /** undefined: only the requests of this process are counted. */
    private readonly redis: RedisClient | undefined,
  ) {}

  /** @param name keeps its counts apart from those of other limits. @param rate null allows everything. */
  limit(name: string, rate: Rate | null): RateLimit {
    return new RateLimit(`catamount:limit:${this.appName}:${name}:`, rate, this);
  }

  /** Counts the attempts in turn, up to the first that is refused. @returns its time left, ms; 0: all are allowed. */
  async take(attempts: readonly Attempt[]): Promise<number> {
    let refusedMs = 0;
    const counted: Attempt[] = [];
    for (const attempt of attempts) {
      refusedMs = this.own.refusedMs(attempt);
      if (refusedMs > 0) break;
      counted.push(attempt);
    }
    if (counted.length === 0) return refusedMs;
    const keys = counted.map(({ key }) => key);
    const limits = counted.flatMap(({ count, ms }) => [String(count), String(ms)]);
    const answer = await this.ask((redis) => TAKE.send(redis, keys, limits));
    if (answer === undefined) for (const attempt of counted) this.own.count(attempt);
    const [nth = 0, leftMs = 0] = (answer ?? []) as readonly number[];
    const over = counted[nth - 1];
    if (!over) return refusedMs;
    this.own.open(over.key, over.count, leftMs);
    return Math.max(1, leftMs);
  }

  async giveBack(key: string): Promise<void> {
    this.own.giveBack(key);
    await this.ask((redis) => GIVE_BACK.send(redis, [key], []));
  }

  async forget(key: string): Promise<void> {
    this.own.delete(key);
    await this.ask((redis) => redis.del(key));
  }

  /** @returns undefined when Redis has not answered in time; until it answers the late command, it is not asked. */
  private async ask(send: (redis: RedisClient) => Promise<unknown>): Promise<unknown> {
    if (!this.redis?.isReady || this.isSilent) return undefined;
    const answer = send(this.redis).catch(() => undefined);
    if ((await Deadline.after(ANSWER_TIMEOUT_MS).wait(answer)) === 'done') return answer;
    this.isSilent = true;
    void answer.then(() => {
      this.isSilent = false;
    });
    return undefined;
  }
}

/** One limit: how many times within a period somebody may do something. */
export class RateLimit {
  constructor(
    private readonly prefix: string,
    private readonly rate: Rate | null,
    private readonly limits: RateLimits,
  ) {}

  /**
   * Counts one attempt.
   * @param then other limits of the same app, each with its key. They are counted in turn, until one refuses.
   * @returns 0 if it is allowed, else the seconds until the next one is.
   */
  async take(key: string, ...then: readonly (readonly [RateLimit, string])[]): Promise<number> {
    const all = [[this, key] as const, ...then];
    return Math.ceil((await this.limits.take(all.flatMap(([limit, name]) => limit.attempts(name)))) / 1000);
  }

  /** Uncounts an attempt that came to nothing. */
  async giveBack(key: string): Promise<void> {
    for (const attempt of this.attempts(key)) await this.limits.giveBack(attempt.key);
  }

  /** Uncounts all attempts of `key`. */
  async forget(key: string): Promise<void> {
    for (const attempt of this.attempts(key)) await this.limits.forget(attempt.key);
  }

  /** Keys contain a digest, so that they are short and reveal no addresses. */
  private attempts(key: string): Attempt[] {
    if (!this.rate) return [];
    const digest = createHash('sha256').update(key).digest('base64url').slice(0, 22);
    return [{ key: this.prefix + digest, count: this.rate.count, ms: this.rate.seconds * 1000 }];
  }
}

/** How many keys are kept before those whose period is over are looked for. */
const SWEEP_AT = 1000;

/** Counts by key, each for a period of its own. */
class Windows {
  private readonly windows = new Map<string, { count: number; readonly end: number }>();
  private sweepAt = SWEEP_AT;

  count({ key, ms }: Attempt): void {
    if (this.leftMs(key) === 0) this.open(key, 0, ms);
    const window = this.windows.get(key);
    if (window) window.count++;
  }

  /** @returns time until another attempt is allowed, ms; 0: it is. */
  refusedMs({ key, count }: Attempt): number {
    return (this.windows.get(key)?.count ?? 0) >= count ? this.leftMs(key) : 0;
  }

  /** Time left of the key's period, ms; 0: it has none. */
  private leftMs(key: string): number {
    return Math.max(0, (this.windows.get(key)?.end ?? 0) - performance.now());
  }

  /** Begins a period of the key. */
  open(key: string, count: number, ms: number): void {
    if (this.windows.size >= this.sweepAt) {
      for (const known of this.windows.keys()) if (this.leftMs(known) === 0) this.windows.delete(known);
      this.sweepAt = Math.max(SWEEP_AT, 2 * this.windows.size);
    }
    this.windows.set(key, { count, end: performance.now() + ms });
  }

  giveBack(key: string): void {
    const window = this.windows.get(key);
    if (window && window.count > 0) window.count--;
  }

  delete(key: string): void {
    this.windows.delete(key);
  }
}
