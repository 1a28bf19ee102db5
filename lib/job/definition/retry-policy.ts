import { type Duration, parseDuration } from '../../support/duration';

/** The rule of a class for failures that no `retryOn` matches. */
export interface RetryOptions {
  /**
   * Maximum number of retries; after that the job goes to the dead set. Default 25 (about 20 days). 0: none. Failures
   * that a `retryOn` rule matches are counted by that rule alone.
   */
  readonly limit?: number;
  /** No retry begins later than this after the first of these failures; then the job is dead, as at the limit. Default: none. */
  readonly retryFor?: Duration;
}

/** The decision of a job class about one failure; undefined leaves it to the formula. */
export type RetryDecision = Duration | 'discard' | 'dead' | undefined;

/** A class of errors, abstract ones included. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** A class of errors, or a predicate. The causes of an error are not matched; a predicate may look at them. */
export type ErrorMatcher = ErrorClass | ((error: Error) => boolean);

/** The errors that a rule covers: those that any of these match. */
export type ErrorMatchers = ErrorMatcher | readonly ErrorMatcher[];

/** The type of the errors that the matchers accept. */
export type ErrorOf<M> = M extends readonly (infer Each)[]
  ? ErrorOf<Each>
  : M extends abstract new (
        ...args: never[]
      ) => infer E
    ? E
    : Error;

/** Called with the error that ended a job and the instance that ran it. It is awaited while the job keeps its slot. */
export type ErrorHandler<E = Error, J = unknown> = (error: E, job: J) => unknown;

/** The rule of `retryOn` for some errors. */
export interface RetryOnOptions {
  /**
   * Delay between a failure and the next run. Default 3s. It is one of:
   * - a duration;
   * - 'polynomial', ActiveJob's `n^4 + jitter + 2` seconds;
   * - a function of the number of runs that failed with these errors, from 1. Its result gets no jitter.
   */
  readonly wait?: Duration | 'polynomial' | ((attempt: number, error: Error) => Duration);
  /**
   * Maximum number of runs that fail with these errors, the first one included; then the job is dead. Infinity: no
   * limit. Default 5.
   */
  readonly attempts?: number;
  /** No retry begins later than this after the first failure with these errors; then it is dead, too. Default: no limit. */
  readonly retryFor?: Duration;
  /** Maximum share of the wait that is added at random: 0 to 1. Default 0.15. */
  readonly jitter?: number;
}

/** The options of a rule, with their defaults. */
export type RetryRule = Required<Omit<RetryOnOptions, 'retryFor'>> & Pick<RetryOnOptions, 'retryFor'>;

/** A rule of a class for some errors. */
export interface ErrorRule {
  matches(error: Error): boolean;
  /** Those of its matchers that are classes. */
  readonly classes: readonly ErrorClass[];
  /** What becomes of the job. rescue: it is done, with what the handler does. */
  readonly action: RetryRule | 'discard' | 'rescue';
  /** Key under which the record counts failures; it must be the same in every process. */
  readonly key: string;
  /**
   * Called at a discard or a rescue. For a retry, called when its attempts are used up; then the job is discarded instead of dead.
   */
  readonly handler: ErrorHandler | undefined;
}

/** The defaults of ActiveJob. */
const DEFAULTS: RetryRule = { wait: '3s', attempts: 5, jitter: 0.15 };

const rules = new WeakMap<object, ErrorRule[]>();

/** @throws TypeError that names the class and the option. */
export function addRetryRule(
  jobClass: { readonly name: string },
  errors: ErrorMatchers,
  options: RetryOnOptions,
  handler?: ErrorHandler,
): void {
  const at = `${jobClass.name}.retryOn`;
  const retry = { ...DEFAULTS, ...options };
  const { wait, attempts, jitter } = retry;
  if (attempts !== Number.POSITIVE_INFINITY && !(Number.isInteger(attempts) && attempts >= 1)) {
    throw new TypeError(`${at}: attempts is ${attempts}; give a whole number from 1, or Infinity`);
  }
  if (!(jitter >= 0 && jitter <= 1)) throw new TypeError(`${at}: jitter is ${jitter}; give a share of 1, such as 0.15`);
  if (wait !== 'polynomial' && typeof wait !== 'function' && parseDuration(wait) === undefined) {
    const advice = "give milliseconds, text such as '10s', 'polynomial', or a function";
    throw new TypeError(`${at}: wait is ${JSON.stringify(wait)}; ${advice}`);
  }
  checkRetryFor(retry, at);
  addRule(jobClass, at, { errors, action: retry, handler });
}

/** @throws TypeError that begins with `at`. */
export function checkRetryFor({ retryFor }: Pick<RetryOptions, 'retryFor'>, at: string): void {
  if (retryFor === undefined || (parseDuration(retryFor) ?? 0) > 0) return;
  throw new TypeError(`${at}: retryFor is ${JSON.stringify(retryFor)}; give a length of time such as '1h'`);
}

/** @throws TypeError that names the class. */
export function addDiscardRule(
  jobClass: { readonly name: string },
  errors: ErrorMatchers,
  handler?: ErrorHandler,
): void {
  addRule(jobClass, `${jobClass.name}.discardOn`, { errors, action: 'discard', handler });
}

/** @throws TypeError that names the class. */
export function addRescueRule(jobClass: { readonly name: string }, errors: ErrorMatchers, handler: ErrorHandler): void {
  const at = `${jobClass.name}.rescueFrom`;
  if (typeof handler !== 'function')
    throw new TypeError(`${at}: the handler is ${JSON.stringify(handler)}; give a function of the error and the job`);
  addRule(jobClass, at, { errors, action: 'rescue', handler });
}

/** The rules of a class in the order in which they are tried: the latest first, its own before its parent's. */
export function* listRules(jobClass: object): Generator<ErrorRule> {
  for (let owner: object | null = jobClass; owner; owner = Object.getPrototypeOf(owner) as object | null) {
    const own = rules.get(owner) ?? [];
    for (let i = own.length - 1; i >= 0; i--) {
      const rule = own[i];
      if (rule) yield rule;
    }
  }
}

interface Declared extends Pick<ErrorRule, 'action' | 'handler'> {
  readonly errors: ErrorMatchers;
}

function addRule(jobClass: object, at: string, { errors, action, handler }: Declared): void {
  const matches = matcherOfAny(errors, at);
  const own = rules.get(jobClass) ?? [];
  rules.set(jobClass, own);
  // The number makes the key of an unnamed rule unique within its class; `at` names the class, so a parent's differs.
  const unnamed = `${at} ${own.length + 1}`;
  const names = listed(errors).map((matcher) => matcher.name || unnamed);
  const classes = listed(errors).filter(isErrorClass);
  own.push({ matches, classes, action, key: names.sort().join(), handler });
}

/**
 * @param at named in the error. @returns a predicate that is true if any of them matches. @throws TypeError for a value
 * that is not a matcher.
 */
export function matcherOfAny(errors: ErrorMatchers, at: string): (error: Error) => boolean {
  const matchers = listed(errors);
  if (matchers.length === 0) throw new TypeError(`${at}: no errors are named; give a class, several, or a function`);
  const tests = matchers.map((matcher) => toPredicate(matcher, at));
  return (error) => tests.some((test) => test(error));
}

function listed(errors: ErrorMatchers): readonly ErrorMatcher[] {
  return Array.isArray(errors) ? errors : [errors as ErrorMatcher];
}

function toPredicate(matcher: ErrorMatcher, at: string): (error: Error) => boolean {
  if (isErrorClass(matcher)) return (error) => error instanceof matcher;
  if (typeof matcher !== 'function' || /^class\b/.test(Function.prototype.toString.call(matcher))) {
    throw new TypeError(`${at}: ${String(matcher).slice(0, 60)} is neither a subclass of Error nor a function`);
  }
  return matcher;
}

function isErrorClass(matcher: ErrorMatcher): matcher is ErrorClass {
  return typeof matcher === 'function' && (matcher === Error || matcher.prototype instanceof Error);
}
