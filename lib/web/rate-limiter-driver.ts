import { createRequire } from 'node:module';
import type * as Flexible from 'rate-limiter-flexible';

export type { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

/**
 * Of rate-limiter-flexible what keeps its counts in Redis and in memory: all of it, with a class for every store that there
 * is, would take twice as long to load, and twice the memory.
 */
export function loadRateLimiters(): Pick<typeof Flexible, 'RateLimiterRedis' | 'RateLimiterMemory'> {
  const ofThePackage = createRequire(require.resolve('rate-limiter-flexible'));
  return {
    RateLimiterRedis: ofThePackage('./lib/RateLimiterRedis') as typeof Flexible.RateLimiterRedis,
    RateLimiterMemory: ofThePackage('./lib/RateLimiterMemory') as typeof Flexible.RateLimiterMemory,
  };
}
