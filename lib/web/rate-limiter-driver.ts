import { createRequire } from 'node:module';
import type * as Flexible from 'rate-limiter-flexible';

export type { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

/**
 * Loads only the Redis and memory stores of rate-limiter-flexible. The whole package, with a class for every store it
 * supports, would take twice the time and twice the memory.
 */
export function loadRateLimiters(): Pick<typeof Flexible, 'RateLimiterRedis' | 'RateLimiterMemory'> {
  const ofThePackage = createRequire(require.resolve('rate-limiter-flexible'));
  return {
    RateLimiterRedis: ofThePackage('./lib/RateLimiterRedis') as typeof Flexible.RateLimiterRedis,
    RateLimiterMemory: ofThePackage('./lib/RateLimiterMemory') as typeof Flexible.RateLimiterMemory,
  };
}
