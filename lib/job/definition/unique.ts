import { type Duration, parseDuration } from '../../support/duration';
import type { DebounceOptions, JobClass, ThrottleOptions, UniqueClaim, UniqueOptions } from './job-class';
import type { LimitRule } from './limits';

/**
 * What becomes of an enqueue while another job has its key: `unique`, `debounce` and `throttle` of a class are spellings of it.
 * Those that replace jobs, and those that wait, run one at a time for each key; a limit of the class takes the place of that.
 */
export interface UniqueRule extends Omit<UniqueClaim, 'key'> {
  /** Returns what makes the key. Default: all arguments. */
  readonly by: UniqueOptions['by'];
  /** The option that `by` comes from. */
  readonly named: 'unique.by' | 'debounce.key' | 'throttle.key';
  /** true: jobs with the same key run one after the other, in order; none is a duplicate. */
  readonly isInOrder: boolean;
  /** Time from an enqueue to the run, unless the enqueue names a time, ms. */
  readonly waitMs: number | undefined;
  /** Counts by the unique key. */
  readonly limit: LimitRule | undefined;
}

const DEFAULTS = { until: 'executed', ttlMs: null, isInOrder: false, waitMs: undefined, isThrottled: false } as const;

type Declared = Pick<JobClass, 'unique' | 'debounce' | 'throttle' | 'limit' | 'rate'>;

/** @returns undefined for a class whose jobs have no key. @throws TypeError that names the class, for invalid options. */
export function uniqueRule(jobClass: Declared, name: string): UniqueRule | undefined {
  const { unique, debounce, throttle } = jobClass;
  const declared = Object.entries({ unique, debounce, throttle }).filter(([, options]) => options);
  if (declared.length > 1)
    throw new TypeError(`${name} has ${declared.map(([word]) => word).join(' and ')}; give one of them`);
  if (debounce) return debounceRule(debounce, name);
  if (throttle) return throttleRule(throttle, jobClass, name);
  return unique ? fromUnique(unique, jobClass, name) : undefined;
}

function fromUnique(unique: UniqueOptions | true, jobClass: Declared, name: string): UniqueRule {
  if (unique !== true && typeof unique !== 'object') {
    throw new TypeError(`${name}: unique is ${JSON.stringify(unique)}; give true, or options: { until: 'executing' }`);
  }
  const { by, until = 'executed', ttl, onConflict = 'discard' } = unique === true ? {} : unique;
  const key = { by, named: 'unique.by' } as const;
  checkFunction(by, `${name}: unique.by`);
  if (until !== 'executed' && until !== 'executing') {
    throw new TypeError(`${name}: unique.until is ${JSON.stringify(until)}; give 'executed' or 'executing'`);
  }
  const ttlMs = ttl === undefined ? null : readTime(ttl, `${name}: unique.ttl`);
  if (onConflict === 'discard') return { ...DEFAULTS, ...key, until, ttlMs, onConflict, limit: undefined };
  if (onConflict !== 'replace' && onConflict !== 'wait') {
    const shown = JSON.stringify(onConflict);
    throw new TypeError(`${name}: unique.onConflict is ${shown}; give 'discard', 'replace' or 'wait'`);
  }
  if (until !== 'executed' || ttl !== undefined)
    throw new TypeError(
      `${name}: unique.onConflict is '${onConflict}'; leave out until and ttl, which are for 'discard'`,
    );
  const isInOrder = onConflict === 'wait';
  if (isInOrder) checkNoLimit(jobClass, `${name}: unique.onConflict is 'wait'`);
  return { ...DEFAULTS, ...key, onConflict: 'replace', isInOrder, limit: oneAtATime() };
}

function debounceRule({ wait, maxWait, key }: DebounceOptions, name: string): UniqueRule {
  const waitMs = readTime(wait, `${name}: debounce.wait`);
  const maxWaitMs = readTime(maxWait, `${name}: debounce.maxWait`);
  if (maxWaitMs < waitMs)
    throw new TypeError(
      `${name}: debounce.maxWait is ${JSON.stringify(maxWait)}, less than its wait; give it at least that`,
    );
  const ttlMs = maxWaitMs - waitMs;
  return {
    ...DEFAULTS,
    ...keyOrClass(key, name, 'debounce.key'),
    onConflict: 'replace',
    waitMs,
    ttlMs,
    limit: oneAtATime(),
  };
}

function throttleRule(
  { per, key, onConflict = 'replace' }: ThrottleOptions,
  jobClass: Declared,
  name: string,
): UniqueRule {
  const perMs = readTime(per, `${name}: throttle.per`);
  if (onConflict !== 'replace' && onConflict !== 'discard')
    throw new TypeError(`${name}: throttle.onConflict is ${JSON.stringify(onConflict)}; give 'replace' or 'discard'`);
  checkNoLimit(jobClass, `${name}: throttle is a rate of its own`);
  const isThrottled = onConflict === 'discard';
  return { ...DEFAULTS, ...keyOrClass(key, name, 'throttle.key'), onConflict, isThrottled, limit: oneAtATime(perMs) };
}

function oneAtATime(gapMs: number | null = null): LimitRule {
  return { count: 1, gapMs, burst: 0, key: undefined };
}

/** A job counts by one key. */
function checkNoLimit({ limit, rate }: Declared, what: string): void {
  if (limit || rate) throw new TypeError(`${what}, by one key; leave out ${limit ? 'limit' : 'rate'}`);
}

function keyOrClass(key: UniqueOptions['by'], name: string, named: UniqueRule['named']) {
  checkFunction(key, `${name}: ${named}`);
  return { by: key ?? (() => ''), named };
}

function checkFunction(value: unknown, what: string): void {
  if (value !== undefined && typeof value !== 'function')
    throw new TypeError(`${what} is ${JSON.stringify(value)}; give a function of the arguments`);
}

function readTime(value: Duration, what: string): number {
  const ms = value === undefined ? undefined : parseDuration(value);
  if (ms) return ms;
  throw new TypeError(`${what} is ${JSON.stringify(value)}; give a length of time such as '10m'`);
}
