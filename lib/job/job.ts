import type { JsonValue } from '../core/execution-context';
import type { Duration } from '../support/duration';
import type { EnqueuedJob } from './definition/job-class';
import {
  type Args,
  type CronOptions,
  type JobArguments,
  type JobClass,
  type JobContext,
  type JobOptions,
  jobNameOf,
  type Performable,
  type PreparedJob,
  type UniqueOptions,
  type Written,
} from './definition/job-class';
import {
  addDiscardRule,
  addRetryRule,
  DEFAULT_RETRY,
  type ErrorHandler,
  type ErrorMatchers,
  type ErrorOf,
  type RetryDecision,
  type RetryOnOptions,
  type RetryOptions,
} from './definition/retry-policy';
import {
  connectEnqueuer,
  type Enqueuer,
  enqueueJobs,
  enqueueOne,
  type JobDependencies,
  jobEquipment,
} from './enqueue/enqueue';
import type { Cursor } from './perform/checkpoint';
import { contextOf, performNow, runOf } from './perform/run';
import { deserializeArguments, serializeArguments } from './record/arguments';

/** A subclass of `Job`, or a parent of such. */
type AbstractJobClass<J extends Performable> = (abstract new () => J) & { readonly name: string };

/** A job class with options, as `set()` gives it. */
export interface ConfiguredJob<J extends Performable> {
  performLater(...args: Args<J>): Promise<EnqueuedJob>;
  performAllLater(all: readonly Readonly<Args<J>>[]): Promise<EnqueuedJob[]>;
  prepare(...args: Args<J>): PreparedJob;
}

/**
 * Work for later, one subclass a file: `class WelcomeEmailJob extends Job<[userId: string]>`. A job may run more than
 * once (a process may die between its work and its outcome): make `perform` fit for that, keyed by `this.context.id`.
 */
export abstract class Job<A extends JobArguments = []> {
  static queue = 'default';
  /** The name that travels. Default: the class's own. Set it before renaming a class with jobs on their way. */
  static jobName?: string;
  static retry: RetryOptions = DEFAULT_RETRY;
  /** true: always through Postgres, so that not even a Redis that loses everything loses the job. */
  static durable = false;
  /** true: while a job with the same arguments is on its way, another is not enqueued. Goes through Postgres. */
  static unique?: Written<UniqueOptions | true>;
  /** Travel with each job, for those who look for it. */
  static tags?: readonly string[];
  /** Runs it by the clock: `'0 3 * * *'` (UTC), or with options, or several of these under different names. */
  static cron?: Written<string | CronOptions | readonly CronOptions[]>;
  /** After this long `context.signal` is aborted; a run that then rejects has failed with a JobTimeoutError. */
  static timeout?: Written<Duration>;
  /**
   * Of this class at most so many run at once, over all processes: the rest waits aside and holds nothing up, unless it
   * is more than 100,000 jobs, or Redis is short of memory: then what is new in their queue waits in Postgres.
   */
  static concurrency?: number;
  /** false: logs and reports show no arguments of this class. */
  static logArguments = true;

  /**
   * Overrides the wait after one failure: a length of time, 'discard', 'dead', or undefined for the usual one.
   * The limit of retries holds all the same.
   * @param attempt the run that failed, from 1.
   */
  static retryIn?(attempt: number, error: Error): RetryDecision;

  /**
   * Has these errors retried by a rule of their own, instead of `retryIn` and `retry`: in a static block of the class,
   * `static { this.retryOn(TimeoutError, { wait: 'polynomial', attempts: 10 }); }`. Rules are inherited; of several that
   * fit an error the latest counts, and the class's own before its parent's.
   * @param exhausted called when the attempts are used up: the job is then discarded, where it would be dead without.
   * If it throws, the job is dead all the same.
   * @throws TypeError for options that make no sense.
   */
  static retryOn<const M extends ErrorMatchers, J extends Performable>(
    this: AbstractJobClass<J>,
    errors: M,
    options: RetryOnOptions = {},
    exhausted?: ErrorHandler<ErrorOf<M>, J>,
  ): void {
    addRetryRule(this, errors, options, exhausted as ErrorHandler | undefined);
  }

  /**
   * Has these errors discard the job: no retry, no trace in the dead set. Inherited and ordered as `retryOn` is.
   * @param handler called before; what it throws is reported.
   */
  static discardOn<const M extends ErrorMatchers, J extends Performable>(
    this: AbstractJobClass<J>,
    errors: M,
    handler?: ErrorHandler<ErrorOf<M>, J>,
  ): void {
    addDiscardRule(this, errors, handler as ErrorHandler | undefined);
  }

  /** The work. A rejection is a failure: see `DiscardJob`, `KillJob`, `retryOn`, `discardOn` and `retryIn`. */
  abstract perform(...args: A): unknown;

  /** Before `perform`; what it throws is the run's failure, and `perform` is not called. */
  beforePerform?(...args: A): unknown;

  /** Around `perform`: must await the function it is given, once. Not calling it skips `perform`; the job is done then. */
  aroundPerform?(perform: () => Promise<void>, ...args: A): unknown;

  /** After a `perform` that did not fail; what it throws is the run's failure. */
  afterPerform?(...args: A): unknown;

  /**
   * When the job is discarded, or dead. What it throws is reported, and changes nothing. Not called where the arguments
   * cannot be read.
   */
  afterDiscard?(error: Error, ...args: A): unknown;

  /**
   * Called before the job is enqueued, on an instance that performs nothing. What it throws reaches the caller of
   * `performLater`; `CancelEnqueue` does not: the job is then not enqueued, for the reason 'cancelled'.
   */
  beforeEnqueue?(...args: A): unknown;

  /** Called in place of enqueuing, after `beforeEnqueue`. Calls `enqueue` once, or nothing is enqueued. */
  aroundEnqueue?(enqueue: () => Promise<EnqueuedJob>, ...args: A): unknown;

  /** Called when the job has been enqueued: within a transaction that may still roll back, if there is one. */
  afterEnqueue?(job: EnqueuedJob, ...args: A): unknown;

  /** @throws NotConnectedError when nobody is performing this instance. */
  get context(): JobContext {
    return contextOf(this);
  }

  /**
   * Notes where the work has come to, for `resumeFrom` of the next run, and throws when this one is to end: call it
   * between the steps of long work. Cheap: Redis hears of it four times a second at most, and always before the end.
   * A Redis that is emptied forgets it.
   * @throws the reason, when the process stops or the timeout is up; TypeError for what cannot be kept.
   */
  protected async checkpoint(cursor: Cursor): Promise<void> {
    await runOf(this).notes.checkpoint(cursor);
  }

  /**
   * @returns where an earlier run had come to, whether it failed, was stopped or crashed; undefined for a new start.
   * @throws Error when Redis does not answer.
   */
  protected async resumeFrom<T extends Cursor>(): Promise<T | undefined> {
    return (await runOf(this).notes.cursor()) as T | undefined;
  }

  /** Tells those who watch how far it is. As cheap as `checkpoint`. @throws TypeError for what JSON cannot carry. */
  protected async progress(value: JsonValue): Promise<void> {
    await runOf(this).notes.progress(value);
  }

  /**
   * Gives every job class its way to Redis and Postgres; undefined takes it away. Called by the role at boot and stop.
   * @param equipment stays as it was when left out.
   */
  static connect(enqueuer: Enqueuer | undefined, equipment?: JobDependencies): void {
    connectEnqueuer(enqueuer, equipment);
  }

  /**
   * Enqueues a run. Inside a transaction it goes with it: to be run once that commits, never if it rolls back.
   * @throws TypeError for arguments that cannot travel; NotConnectedError before boot.
   */
  static performLater<J extends Performable>(this: JobClass<J>, ...args: Args<J>): Promise<EnqueuedJob> {
    return enqueueOne(this, {}, args);
  }

  /**
   * Enqueues many runs at once, each with its own arguments: `GreetJob.performAllLater([['Ann'], ['Bob']])`.
   * @returns one answer for each, in order. @throws as `performLater`; EnqueueError when only some could be enqueued.
   */
  static performAllLater<J extends Performable>(
    this: JobClass<J>,
    all: readonly Readonly<Args<J>>[],
  ): Promise<EnqueuedJob[]> {
    return enqueueAll(this, {}, all);
  }

  /** A job for the `performAllLater` that takes jobs of several classes. */
  static prepare<J extends Performable>(this: JobClass<J>, ...args: Args<J>): PreparedJob {
    return { jobClass: this, options: {}, args };
  }

  /** Runs it here and now, in the caller's time. @returns what `perform` returns. */
  static async performNow<J extends Performable>(
    this: JobClass<J>,
    ...args: Args<J>
  ): Promise<Awaited<ReturnType<J['perform']>>> {
    const { setup, models } = jobEquipment();
    const codec = { serializers: setup?.serializers, models };
    // The same trip through JSON as a job that is enqueued.
    const json = JSON.stringify(serializeArguments(jobNameOf(this), args, codec));
    const result = await performNow(this, await deserializeArguments(JSON.parse(json), codec), {
      middleware: setup?.performMiddleware,
    });
    return result as Awaited<ReturnType<J['perform']>>;
  }

  /** @throws TypeError, when it enqueues, for options that contradict each other or make no sense. */
  static set<J extends Performable>(this: JobClass<J>, options: JobOptions): ConfiguredJob<J> {
    return {
      performLater: (...args) => enqueueOne(this, options, args),
      performAllLater: (all) => enqueueAll(this, options, all),
      prepare: (...args) => ({ jobClass: this, options, args }),
    };
  }
}

/**
 * Enqueues jobs of any classes at once: `performAllLater([GreetJob.prepare('Ann'), BillJob.set({ wait: '5m' }).prepare(7)])`.
 * Those that go to Postgres are one transaction. `beforeEnqueue` and its like are called for each, side by side.
 * @returns one answer for each, in order.
 * @throws TypeError, before any is enqueued, for arguments that cannot travel; NotConnectedError before boot;
 * EnqueueError when only some could be enqueued.
 */
export function performAllLater(jobs: readonly PreparedJob[]): Promise<EnqueuedJob[]> {
  return enqueueJobs(jobs, 'performAllLater');
}

function enqueueAll(
  jobClass: JobClass,
  options: JobOptions,
  all: readonly (readonly unknown[])[],
): Promise<EnqueuedJob[]> {
  const jobs = all.map((args) => ({ jobClass, options, args }));
  return enqueueJobs(jobs, `${jobNameOf(jobClass)}.performAllLater`);
}
