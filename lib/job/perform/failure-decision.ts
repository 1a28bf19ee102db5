import { type Duration, formatDuration, parseDuration } from '../../support/duration';
import { toError } from '../../support/to-error';
import { DiscardJob, KillJob, RecordGoneError } from '../definition/errors';
import { DEFAULT_RETRY, retryLimit } from '../definition/options';
import {
  type ErrorHandler,
  type ErrorRule,
  listRules,
  type RetryDecision,
  type RetryOptions,
  type RetryRule,
} from '../definition/retry-policy';

export type FailureDecision = (
  | { readonly kind: 'retry'; readonly waitMs: number }
  | { readonly kind: 'discard' | 'rescue' }
  | { readonly kind: 'dead'; readonly reason: string }
) & {
  /** Key of the retryOn rule that decided; the record counts the failure under it. */
  readonly key?: string | undefined;
  /** Times of first failures, this one included, if the rule has a `retryFor`. */
  readonly firstFailedAt?: Readonly<Record<string, number>> | undefined;
  /** To be called before the decision is carried out. */
  readonly handler?: ErrorHandler | undefined;
};

/** The part of a job class that decides about failures. */
export interface RetryRules {
  readonly retry: RetryOptions;
  retryIn?(attempt: number, error: Error): RetryDecision;
}

/** The rules for a class that this process does not know. */
export const DEFAULT_RULES: RetryRules = Object.freeze({ retry: DEFAULT_RETRY });

export interface Failure {
  /** The run that failed, from 1. */
  readonly attempt: number;
  readonly error: Error;
  /** Earlier failures by the key of their rule. */
  readonly counts?: Readonly<Record<string, number>> | undefined;
  /** Times of first failures by the key of their rule, '' for none, ms since 1970. */
  readonly firstFailedAt?: Readonly<Record<string, number>> | undefined;
  /** The current time, ms since 1970. Default: Date.now(). */
  readonly now?: number | undefined;
}

export interface Deciding {
  /** false: rules of `rescueFrom` do not apply. Default true. */
  readonly mayRescue?: boolean | undefined;
  /** Replaces Math.random. */
  readonly random?: (() => number) | undefined;
  /** Called when a rule of the class throws or returns nonsense: the rule is skipped, at no cost to the job. */
  readonly onBrokenRule: (error: Error) => void;
}

/**
 * Sidekiq's formula (sidekiq/lib/sidekiq/job_retry.rb, `delay_for`): `n^4 + 15 + rand(10 * (n + 1))` seconds.
 * @param n retries so far, from 0.
 * @param random default Math.random.
 * @returns milliseconds.
 */
export function retryWaitMs(n: number, random: () => number = Math.random): number {
  return (n ** 4 + 15 + Math.floor(random() * 10 * (n + 1))) * 1000;
}

/**
 * ActiveJob's `polynomially_longer` (activejob/lib/active_job/exceptions.rb, `determine_delay`): `n^4 + rand * n^4 *
 * jitter + 2` seconds.
 * @param n runs that failed so far, from 1.
 * @param jitter 0 to 1.
 * @param random default Math.random.
 * @returns milliseconds.
 */
export function polynomialWaitMs(n: number, jitter: number, random: () => number = Math.random): number {
  return Math.round((n ** 4 * (1 + random() * jitter) + 2) * 1000);
}

/**
 * Decides about a job whose run has failed. The first of these that applies counts:
 * - DiscardJob and KillJob;
 * - `retryOn`, `discardOn` and `rescueFrom`;
 * - a RecordGoneError, which discards;
 * - the class's `retryIn`;
 * - Sidekiq's formula, within `retry.limit` and `retry.retryFor`.
 */
export function decide(rules: RetryRules, failure: Failure, deciding: Deciding): FailureDecision {
  const { error, attempt, counts = {} } = failure;
  if (error instanceof DiscardJob) return { kind: 'discard' };
  if (error instanceof KillJob) return { kind: 'dead', reason: error.message };
  const rule = ruleFor(rules, error, deciding);
  if (rule) return byRule(rule, failure, deciding);
  if (error instanceof RecordGoneError) return { kind: 'discard' };
  const answer = guarded(() => askRetryIn(rules, attempt, error), deciding);
  if (answer === 'discard') return { kind: 'discard' };
  if (answer === 'dead') return { kind: 'dead', reason: error.message };
  const byRules = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const retries = attempt - 1 - byRules;
  if (retries >= retryLimit(rules.retry)) return { kind: 'dead', reason: exhaustedReason(error, attempt) };
  return withinTime({ kind: 'retry', waitMs: answer ?? retryWaitMs(retries, deciding.random) }, rules.retry, failure);
}

function ruleFor(rules: RetryRules, error: Error, deciding: Deciding): ErrorRule | undefined {
  const { mayRescue = true } = deciding;
  for (const rule of listRules(rules)) {
    if ((mayRescue || rule.action !== 'rescue') && guarded(() => rule.matches(error), deciding)) return rule;
  }
  return undefined;
}

/** The retry, or the death of a job whose retry would begin later than `retryFor` after its first failure by the same rule. */
function withinTime(
  retry: Extract<FailureDecision, { kind: 'retry' }>,
  { retryFor }: Pick<RetryOptions, 'retryFor'>,
  { error, firstFailedAt, now = Date.now() }: Failure,
): FailureDecision {
  if (retryFor === undefined) return retry;
  const { key = '' } = retry;
  const since = firstFailedAt?.[key] ?? now;
  const ms = parseDuration(retryFor) ?? Number.POSITIVE_INFINITY;
  if (now + retry.waitMs - since <= ms) return { ...retry, firstFailedAt: { ...firstFailedAt, [key]: since } };
  const reason = `${error.message} (its retryFor of ${formatDuration(ms)} ends before the next retry)`;
  return { kind: 'dead', reason, key: retry.key };
}

function byRule({ action: retry, key, handler }: ErrorRule, failure: Failure, deciding: Deciding): FailureDecision {
  if (typeof retry === 'string') return { kind: retry, handler };
  const { error, counts } = failure;
  const failed = (counts?.[key] ?? 0) + 1;
  if (failed >= retry.attempts) return { kind: 'dead', reason: exhaustedReason(error, failed), key, handler };
  const waitMs = guarded(() => computeWait(retry, failed, error, deciding.random), deciding);
  const decision = { kind: 'retry', waitMs: waitMs ?? retryWaitMs(failed - 1, deciding.random), key } as const;
  const timed = withinTime(decision, retry, failure);
  return timed.kind === 'dead' ? { ...timed, handler } : timed;
}

function computeWait(
  { wait, jitter }: RetryRule,
  failed: number,
  error: Error,
  random: () => number = Math.random,
): number {
  if (wait === 'polynomial') return polynomialWaitMs(failed, jitter, random);
  if (typeof wait === 'function') return milliseconds(wait(failed, error), 'the wait of retryOn');
  return Math.round(milliseconds(wait, 'the wait of retryOn') * (1 + random() * jitter));
}

function askRetryIn(rules: RetryRules, attempt: number, error: Error): number | 'discard' | 'dead' | undefined {
  const answer = rules.retryIn?.(attempt, error);
  if (answer === undefined || answer === 'discard' || answer === 'dead') return answer;
  return milliseconds(answer, 'retryIn');
}

/** @throws TypeError for an invalid duration. */
function milliseconds(answer: Duration, whose: string): number {
  const ms = parseDuration(answer);
  if (ms === undefined) throw new TypeError(`${whose} gave ${JSON.stringify(answer)}, which is not a length of time`);
  return ms;
}

function guarded<T>(ask: () => T, { onBrokenRule }: Deciding): T | undefined {
  try {
    return ask();
  } catch (thrown) {
    onBrokenRule(toError(thrown));
    return undefined;
  }
}

function exhaustedReason(error: Error, attempts: number): string {
  return `${error.message} (${attempts === 1 ? 'the only attempt' : `the last of ${attempts} attempts`})`;
}
