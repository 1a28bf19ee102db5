import { type Duration, parseDuration } from '../../support/duration';
import { DiscardJob, KillJob } from './verdict';

export interface RetryOptions {
  /** Retries after the first run; then the job goes to the dead set. Default 25 (about 20 days). 0: none. */
  readonly limit: number;
}

export const DEFAULT_RETRY: RetryOptions = Object.freeze({ limit: 25 });

/** What a job class may answer for one failure; undefined leaves it to the formula. */
export type RetryAnswer = Duration | 'discard' | 'dead' | undefined;

export type Verdict =
  | { readonly kind: 'retry'; readonly waitMs: number }
  | { readonly kind: 'discard' }
  | { readonly kind: 'dead'; readonly reason: string };

export interface RetryRules {
  readonly retry: RetryOptions;
  retryIn?(attempt: number, error: Error): RetryAnswer;
}

/**
 * Sidekiq's formula (sidekiq/lib/sidekiq/job_retry.rb, `delay_for`): `n^4 + 15 + rand(10 * (n + 1))` seconds.
 * @param n retries so far, from 0.
 * @param random as Math.random.
 * @returns milliseconds.
 */
export function retryWaitMs(n: number, random: () => number = Math.random): number {
  return (n ** 4 + 15 + Math.floor(random() * 10 * (n + 1))) * 1000;
}

/**
 * What becomes of a job whose run has failed.
 * @param attempt the run that failed, from 1.
 * @throws what the class's own `retryIn` throws.
 */
export function decide(rules: RetryRules, attempt: number, error: Error, random?: () => number): Verdict {
  if (error instanceof DiscardJob) return { kind: 'discard' };
  if (error instanceof KillJob) return { kind: 'dead', reason: error.message };
  const answer = rules.retryIn?.(attempt, error);
  if (answer === 'discard') return { kind: 'discard' };
  if (answer === 'dead') return { kind: 'dead', reason: error.message };
  const retries = attempt - 1;
  if (retries >= rules.retry.limit) {
    return { kind: 'dead', reason: `${error.message} (the last of ${attempt} attempts)` };
  }
  if (answer === undefined) return { kind: 'retry', waitMs: retryWaitMs(retries, random) };
  const waitMs = parseDuration(answer);
  if (waitMs === undefined) throw new TypeError(`retryIn gave ${JSON.stringify(answer)}, which is no length of time`);
  return { kind: 'retry', waitMs };
}
