import { type Duration, parseDuration } from '../../support/duration';
import type { EnqueueRequest, JobClass, KeepOptions, Performable, RunAt, ThreadOptions } from './job-class';
import { type LimitRule, type Limits, limitRule } from './limits';
import { checkRetryFor, type RetryOptions } from './retry-policy';
import { type UniqueRule, uniqueRule } from './unique';

/** Characters that a queue's name may have, since it is a part of Redis keys. */
export const QUEUE_NAME = /^[A-Za-z0-9_-]+$/;

/** Beyond this delay Node's timers fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The default of `Job.retry`, as in Sidekiq. */
export const DEFAULT_RETRY = Object.freeze({ limit: 25 });

export function retryLimit({ limit = DEFAULT_RETRY.limit }: RetryOptions): number {
  return limit;
}

export function effectiveName(jobClass: Pick<JobClass, 'jobName' | 'name'>): string {
  return jobClass.jobName ?? jobClass.name;
}

/** The checked options of a class, and its callbacks. They are compiled once, so that unused features cost nothing. */
export interface CompiledOptions {
  readonly name: string;
  readonly timeoutMs: number | undefined;
  /** How long a run may take until a checkpoint ends it, ms. */
  readonly maxRuntimeMs: number | undefined;
  readonly unique: UniqueRule | undefined;
  readonly limit: LimitRule | undefined;
  /** How long its jobs may wait for their first run, ms. */
  readonly expiresInMs: number | undefined;
  readonly priority: number;
  readonly encrypt: boolean;
  /** How long its finished jobs are kept; undefined: they are not. */
  readonly keep: KeepRule | undefined;
  /** undefined: it performs in the processor's own thread. */
  readonly thread: ThreadRule | undefined;
  /** Names of the fields whose values later runs find again; undefined: none. */
  readonly persisted: readonly string[] | undefined;
  readonly before: boolean;
  readonly around: boolean;
  readonly after: boolean;
  readonly afterDiscard: boolean;
  /** true if the class has none of the first three callbacks. */
  readonly bare: boolean;
}

const plans = new WeakMap<JobClass, CompiledOptions>();

/** @throws TypeError that names the class, for invalid options. */
export function compileOptions(jobClass: JobClass): CompiledOptions {
  const known = plans.get(jobClass);
  if (known) return known;
  const name = effectiveName(jobClass);
  if (typeof (jobClass.prototype as Partial<Performable>).perform !== 'function') {
    throw new TypeError(`${name} has no perform method: write what the job does in async perform() { … }`);
  }
  const { beforePerform, aroundPerform, afterPerform, afterDiscard } = jobClass.prototype as Partial<Performable>;
  const before = beforePerform !== undefined;
  const around = aroundPerform !== undefined;
  const after = afterPerform !== undefined;
  const unique = uniqueRule(jobClass, name);
  const plan = Object.freeze({
    name,
    timeoutMs: readTimeout(jobClass, name),
    maxRuntimeMs: readMaxRuntime(jobClass, name),
    unique,
    limit: limitRule(jobClass, name) ?? unique?.limit,
    expiresInMs: readExpiry(jobClass.expiresIn, name),
    priority: readPriority(jobClass.priority, name) ?? 0,
    encrypt: readEncrypt(jobClass, name),
    keep: keepRule(jobClass, name),
    thread: threadRule(jobClass, name),
    persisted: readPersisted(jobClass, name),
    before,
    around,
    after,
    afterDiscard: afterDiscard !== undefined,
    bare: !before && !around && !after,
  });
  if (typeof jobClass.queue !== 'function') checkQueue({ name, queue: jobClass.queue });
  if (jobClass.retryQueue !== undefined) checkQueue({ name, queue: jobClass.retryQueue }, 'retryQueue');
  const limit = retryLimit(jobClass.retry);
  if (!(limit >= 0)) throw new TypeError(`${name}.retry: limit is ${limit}; give a number of retries, 0 for none`);
  checkRetryFor(jobClass.retry, `${name}.retry`);
  plans.set(jobClass, plan);
  return plan;
}

/** @returns the limits of these classes; classes without one are left out. */
export function readLimits(classes: Iterable<JobClass>): Limits {
  const limits = new Map<string, LimitRule>();
  for (const jobClass of classes) {
    const { name, limit } = compileOptions(jobClass);
    if (limit) limits.set(name, limit);
  }
  return limits;
}

function readTimeout({ timeout }: JobClass, name: string): number | undefined {
  if (timeout === undefined) return undefined;
  const ms = parseDuration(timeout);
  if (ms !== undefined && ms > 0 && ms <= MAX_TIMEOUT_MS) return ms;
  throw new TypeError(`${name}.timeout is ${JSON.stringify(timeout)}; give a length of time up to 24d, such as '5m'`);
}

function readMaxRuntime(jobClass: JobClass, name: string): number | undefined {
  const { maxRuntime } = jobClass;
  if (maxRuntime === undefined) return undefined;
  const ms = parseDuration(maxRuntime);
  if (!ms)
    throw new TypeError(`${name}.maxRuntime is ${JSON.stringify(maxRuntime)}; give a length of time such as '5m'`);
  if (ms < (readTimeout(jobClass, name) ?? Number.POSITIVE_INFINITY)) return ms;
  throw new TypeError(`${name}.maxRuntime is ${JSON.stringify(maxRuntime)}; give a shorter time than its timeout`);
}

/** @returns undefined: the jobs do not expire. @throws TypeError that names the class, for anything but a length of time. */
export function readExpiry(expiresIn: Duration | undefined, name: string): number | undefined {
  if (expiresIn === undefined) return undefined;
  const ms = parseDuration(expiresIn);
  if (ms !== undefined && ms > 0) return ms;
  throw new TypeError(`${name}: expiresIn is ${JSON.stringify(expiresIn)}; give a length of time such as '10m'`);
}

/** The largest priority; the smallest is its negative. */
const MAX_PRIORITY = 100;

/** @returns undefined when none is given. @throws TypeError that names the class, for anything but a whole number in the range. */
export function readPriority(priority: number | undefined, name: string): number | undefined {
  if (priority === undefined) return undefined;
  if (Number.isInteger(priority) && Math.abs(priority) <= MAX_PRIORITY) return priority;
  const shown = typeof priority === 'number' ? priority : JSON.stringify(priority);
  const advice = `give a whole number from -${MAX_PRIORITY} to ${MAX_PRIORITY}; smaller ones run first, and 0 is the default`;
  throw new TypeError(`${name}: priority is ${shown}; ${advice}`);
}

/** @returns the queue of a job with these arguments, not checked yet. */
export function queueFor({ queue }: Pick<JobClass, 'queue'>, args: readonly unknown[]): string {
  return typeof queue === 'function' ? queue(...(args as never[])) : queue;
}

function readEncrypt({ encrypt = false }: JobClass, name: string): boolean {
  if (typeof encrypt === 'boolean') return encrypt;
  throw new TypeError(`${name}: encrypt is ${JSON.stringify(encrypt)}; give true or false`);
}

/** The rule that `static keep` of a class declares. */
export interface KeepRule {
  readonly ms: number;
  /** The newest ones that are kept. */
  readonly limit: number;
}

/** As many as the dead set keeps of a queue. */
const MAX_KEPT = 10_000;

/** @throws TypeError that names the class, for anything but a length of time, or options with one. */
function keepRule({ keep }: Pick<JobClass, 'keep'>, name: string): KeepRule | undefined {
  if (keep === undefined) return undefined;
  const given: Partial<KeepOptions> = typeof keep === 'object' && keep !== null ? keep : { for: keep };
  const ms = given.for === undefined ? undefined : parseDuration(given.for);
  if (!ms)
    throw new TypeError(
      `${name}: keep is ${JSON.stringify(keep)}; give a length of time such as '7d', or { for: '7d', limit: 50_000 }`,
    );
  const { limit = MAX_KEPT } = given;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new TypeError(`${name}: keep.limit is ${JSON.stringify(limit)}; give a whole number of jobs from 1`);
  return { ms, limit };
}

/** The rule that `static thread` of a class declares. */
export interface ThreadRule {
  /** Limit of the heap of its thread, in MiB. */
  readonly memoryMb: number;
}

/** The default of `thread.memory`, and its bounds, MiB. A thread with less does not start. */
const THREAD_MB = 128;
const LEAST_THREAD_MB = 32;
const MOST_THREAD_MB = 65_536;

/** @throws TypeError that names the class, for anything but true, false, or options with a size. */
function threadRule({ thread = false }: Pick<JobClass, 'thread'>, name: string): ThreadRule | undefined {
  if (thread === false) return undefined;
  if (thread === true) return { memoryMb: THREAD_MB };
  const { memory } = (thread ?? {}) as Partial<ThreadOptions>;
  const memoryMb = Number(/^(\d+)MB$/.exec(String(memory))?.[1]);
  if (memoryMb >= LEAST_THREAD_MB && memoryMb <= MOST_THREAD_MB) return { memoryMb };
  const advice = `give true, or { memory: '256MB' }, from ${LEAST_THREAD_MB}MB`;
  throw new TypeError(`${name}: thread is ${JSON.stringify(thread)}; ${advice}`);
}

/** @throws TypeError that names the class, for anything but names of fields. */
function readPersisted(jobClass: JobClass, name: string): readonly string[] | undefined {
  const { persisted } = jobClass;
  if (persisted === undefined) return undefined;
  const isField = (field: unknown) => typeof field === 'string' && field !== '' && !(field in jobClass.prototype);
  if (Array.isArray(persisted) && persisted.length > 0 && persisted.every(isField)) return persisted;
  throw new TypeError(`${name}: persisted is ${JSON.stringify(persisted)}; name fields of the class, such as ['seen']`);
}

/** The greatest integer of Postgres. */
const MAX_LIMIT = 2 ** 31 - 1;

/** @throws TypeError that names the class, the option and the queue, for an invalid name. */
export function checkQueue({ name, queue }: Pick<EnqueueRequest, 'name' | 'queue'>, option = 'queue'): void {
  if (typeof queue === 'string' && QUEUE_NAME.test(queue)) return;
  throw new TypeError(`${name}: ${option} is ${JSON.stringify(queue)}; use letters, digits, - and _`);
}

/**
 * @returns undefined for "at once", also for a moment in the past.
 * @throws TypeError for an invalid duration or date, or if both are given.
 */
export function runAt(wait: Duration | undefined, waitUntil: Date | undefined): RunAt | undefined {
  if (wait !== undefined && waitUntil !== undefined) throw new TypeError('give either wait or waitUntil, not both');
  if (wait !== undefined) {
    const inMs = parseDuration(wait);
    if (inMs === undefined) {
      const advice = "give milliseconds or text such as '10s', '5m', '2h', '7d', at most 36525d";
      throw new TypeError(`wait is ${typeof wait === 'number' ? wait : JSON.stringify(wait)}; ${advice}`);
    }
    return inMs > 0 ? { inMs } : undefined;
  }
  if (waitUntil === undefined) return undefined;
  if (Number.isNaN(waitUntil.getTime())) throw new TypeError('waitUntil is an invalid Date');
  if (waitUntil.getTime() > LATEST) {
    throw new TypeError(`waitUntil is ${waitUntil.toISOString()}; give a date before the year 10000`);
  }
  return waitUntil.getTime() > Date.now() ? { at: waitUntil } : undefined;
}

/** ISO dates after the year 9999 have a sign, which Postgres cannot read. */
const LATEST = Date.UTC(9999, 11, 31);
