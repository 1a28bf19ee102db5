import { type Attributes, type JsonValue, withAttributes } from '../core/execution-context';
import type { Duration } from '../support/duration';
import { Batch } from './batch';
import { checkJobId, checkReason, outcomeOf } from './definition/cancel-options';
import { JobResultError } from './definition/errors';
import type {
  AcceptedJob,
  Args,
  ArgumentsOf,
  BulkOptions,
  CancelAllOptions,
  CancelCounts,
  CancelOptions,
  CancelOutcome,
  CronOptions,
  DebounceOptions,
  EnqueuedJob,
  JobClass,
  JobContext,
  JobHandle,
  JobOptions,
  KeepOptions,
  LimitOptions,
  Performable,
  PreparedJob,
  RateOptions,
  ResultOf,
  ResultOptions,
  ThreadOptions,
  ThrottleOptions,
  UniqueOptions,
} from './definition/job-class';
import { compileOptions, DEFAULT_RETRY, effectiveName } from './definition/options';
import type {
  ErrorHandler,
  ErrorMatchers,
  ErrorOf,
  RetryDecision,
  RetryOnOptions,
  RetryOptions,
} from './definition/retry-policy';
import { addDiscardRule, addRescueRule, addRetryRule } from './definition/retry-policy';
import {
  connectEnqueuer,
  connection,
  type Enqueuer,
  type JobDependencies,
  jobEquipment,
  logLine,
} from './enqueue/connection';
import { enqueueJobs, enqueueOne } from './enqueue/enqueue';
import { checkTag } from './enqueue/request';
import type { Cursor } from './perform/checkpoint';
import type { EachOptions, EachSource } from './perform/each';
import { requireContext, requireRun } from './perform/run';
import type { StepOptions, TransactionWork } from './perform/steps';
import { serializeArguments } from './record/arguments';

/** A subclass of `Job`, abstract ones included. */
export type AbstractJobClass<J extends Performable> = (abstract new () => J) & Pick<JobClass, 'name'>;

/** A job class with options, as `set()` returns it. */
export interface ConfiguredJob<J extends Performable> {
  /** Enqueues a run with these options. Errors as of `Job.performLater`; TypeError for invalid options. */
  performLater(...args: Args<J>): Promise<EnqueuedJob & JobHandle<ResultOf<J>>>;
  /** Enqueues many runs at once, each with its own arguments. Errors as of `Job.performAllLater`. */
  performAllLater(all: readonly Readonly<Args<J>>[], options?: BulkOptions): Promise<EnqueuedJob[]>;
  /** Prepares a job for the `performAllLater` function, which takes jobs of several classes. */
  prepare(...args: Args<J>): PreparedJob;
}

/**
 * A background job, one subclass per file: `class WelcomeEmailJob extends Job<[userId: string]>`. A job may run more than once,
 * since a process may die before the outcome is recorded. So make `perform` idempotent, by `this.context.id`.
 */
export abstract class Job<A extends ArgumentsOf<A> = []> {
  /**
   * The queue of its jobs, or a function that returns it for the arguments of one: `(account: Account) => account.queue`.
   * JOB_QUEUES must name it, or no processor serves it.
   */
  static queue: string | ((...args: never[]) => string) = 'default';
  /** The name that jobs carry. Default: the class's own. Set it before renaming a class while jobs are enqueued. */
  static jobName?: string;
  /** Limits of retries, by Sidekiq's formula; then the job is dead. Default 25, about 20 days. */
  static retry: RetryOptions = DEFAULT_RETRY;
  /** The queue to which a job goes when it is retried, and in which it stays. JOB_QUEUES must name it. Default: that of the job. */
  static retryQueue?: string;
  /**
   * true: while a job with the same arguments is enqueued or runs, another is not enqueued. Declare it `readonly … as const`,
   * like `cron` and `timeout`. Otherwise TypeScript rejects its texts as mere strings.
   */
  static unique?: UniqueOptions | boolean;
  /**
   * `{ wait: '5s', maxWait: '1m' }`: it runs once, when no other was enqueued for `wait`, or `maxWait` after the first of them,
   * with the arguments of the last. Default key: the class.
   */
  static debounce?: DebounceOptions;
  /**
   * `{ per: '1m' }`: at most one run begins in that time. What is enqueued meanwhile leads to one run at its end, with the
   * arguments of the last. Default key: the class.
   */
  static throttle?: ThrottleOptions;
  /** Attached to each job, so that operators can search for them. */
  static tags?: readonly string[];
  /** Enqueues it by the clock: `'0 3 * * *'` (UTC), or with options, or several of these under different names. */
  static cron?: string | CronOptions | readonly CronOptions[];
  /** After this time `context.signal` is aborted; a run that then rejects has failed with a JobTimeoutError. */
  static timeout?: Duration;
  /**
   * A run that has taken this long ends at its next `checkpoint`, also those of `each`. The job goes to the tail of its queue and
   * resumes when its turn comes; no attempt is used up. Must be shorter than `timeout`. Default: a run goes on.
   */
  static maxRuntime?: Duration;
  /**
   * A job that has not begun when it has been due for this long leaves without a run. `afterDiscard` is called with a
   * JobExpiredError. Default: jobs do not expire.
   */
  static expiresIn?: Duration;
  /**
   * Which of the jobs of a queue run first when a slot gets free: a whole number from -100 to 100, the smallest first, and of one
   * priority the oldest. Default 0.
   */
  static priority?: number;
  /**
   * How many of its jobs run at once, over all processes: `{ count: 1 }`, or for each key `{ count: 1, key: (customer) =>
   * customer.id }`. The others wait in their order and delay no other class and no other key.
   */
  static limit?: LimitOptions;
  /**
   * How many of its jobs start in a time, over all processes: `{ limit: 10, per: '1s' }`, or for each key with a `key` as that of
   * `limit`. The others wait in their order, without a slot.
   */
  static rate?: RateOptions;
  /**
   * How long its finished jobs are kept, with their results: `'7d'`, or `{ for: '7d', limit: 50_000 }`, of which the default is
   * 10,000. Declare it `readonly … as const`. Default: a job that is done leaves nothing.
   */
  static keep?: Duration | KeepOptions;
  /**
   * true: `perform` runs in a thread of the job processor, so that long computations delay nothing else, and a run that ignores its
   * timeout or cancel is ended. `{ memory: '256MB' }` limits its heap; the default is 128 MB. Declare it `readonly … as const`.
   */
  static thread?: boolean | ThreadOptions;
  /**
   * Names of fields whose values the next run of the job finds again, after a failure, a stop, a snooze or a crash: `['seen']`. A
   * value is what an argument may be. They are stored when a run ends and with each `checkpoint`. Default: none.
   */
  static persisted?: readonly string[];
  /** false: logs and reports show no arguments of this class. */
  static logArguments = true;
  /**
   * true: its arguments are stored encrypted, with the keys of JOB_ENCRYPTION_KEYS, and shown nowhere. The keys of its `unique`,
   * `limit` and `rate` are stored as keyed digests. Queue, class, tags, cursors and progress stay plain.
   */
  static encrypt = false;

  /**
   * Overrides the wait after one failure: a duration, 'discard', 'dead', or undefined for the default formula. The
   * limit of retries still applies.
   * @param attempt the run that failed, from 1.
   */
  static retryIn?(attempt: number, error: Error): RetryDecision;

  /**
   * Retries these errors by a rule of their own, instead of `retryIn` and `retry`. Call it in a static block of the class:
   * `static { this.retryOn(TimeoutError, { wait: 'polynomial', attempts: 10 }); }`. Rules are inherited. If several match an
   * error, the latest wins, and the class's own before its parent's.
   * @param exhausted called when the attempts are used up. The job is then discarded; without it, or if it throws, the job is
   * dead.
   * @throws TypeError for invalid options.
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
   * Discards the job on these errors: no retry, no entry in the dead set. Inherited and ordered like `retryOn`.
   * @param handler called before the discard; an error that it throws is reported.
   */
  static discardOn<const M extends ErrorMatchers, J extends Performable>(
    this: AbstractJobClass<J>,
    errors: M,
    handler?: ErrorHandler<ErrorOf<M>, J>,
  ): void {
    addDiscardRule(this, errors, handler as ErrorHandler | undefined);
  }

  /**
   * Calls the handler in place of a failure with one of these errors: then the job is done, and its result is what the handler
   * returns. An error that it throws is the run's failure, for which no `rescueFrom` applies any more. `performNow` calls it, too.
   * Inherited and ordered like `retryOn`; `DiscardJob`, `KillJob`, `Snooze` and `RateLimited` are not rescued.
   * @throws TypeError for a handler that is no function.
   */
  static rescueFrom<const M extends ErrorMatchers, J extends Performable>(
    this: AbstractJobClass<J>,
    errors: M,
    handler: ErrorHandler<ErrorOf<M>, J>,
  ): void {
    addRescueRule(this, errors, handler as ErrorHandler);
  }

  /**
   * The work of the job. A rejection is a failure, except `Snooze`: see `DiscardJob`, `KillJob`, `retryOn`, `discardOn`,
   * `rescueFrom` and `retryIn`.
   */
  abstract perform(...args: A): unknown;

  /** Called before `perform`; an error that it throws is the run's failure, and `perform` is not called. */
  beforePerform?(...args: A): unknown;

  /**
   * Called around `perform`: must await the given function, once. If it does not call it, the job is done without
   * `perform`.
   */
  aroundPerform?(perform: () => Promise<void>, ...args: A): unknown;

  /** Called after a `perform` that did not fail; an error that it throws is the run's failure. */
  afterPerform?(...args: A): unknown;

  /**
   * Called when the job is discarded, expires or dies, and with a JobCancelledError when its run ends as cancelled. An error
   * that it throws is reported, and changes nothing. It is not called if the arguments cannot be read.
   */
  afterDiscard?(error: Error, ...args: A): unknown;

  /**
   * Called before the job is enqueued, on an instance that performs nothing. An error that it throws reaches the caller
   * of `performLater`, except `CancelEnqueue`: then the job is not enqueued, for the reason 'cancelled'.
   */
  beforeEnqueue?(...args: A): unknown;

  /** Called in place of enqueuing, after `beforeEnqueue`. It must call `enqueue` once, or nothing is enqueued. */
  aroundEnqueue?(enqueue: () => Promise<EnqueuedJob>, ...args: A): unknown;

  /** Called when the job has been enqueued; inside a transaction, that may still roll back. */
  afterEnqueue?(job: AcceptedJob, ...args: A): unknown;

  /** @throws NotConnectedError when this instance is not being performed. */
  get context(): JobContext {
    return requireContext(this);
  }

  /** The batch that it is a job or a callback of. @throws NotConnectedError when this instance is not being performed. */
  get batch(): Batch | undefined {
    const { batchId } = this.context;
    return batchId === undefined ? undefined : Batch.of(batchId);
  }

  /**
   * Stores the position of the work for `resumeFrom` of the next run. Throws when this run is to end, so call it between the
   * steps of long work. It is cheap: Postgres is written at most four times a second, and always before the end. In a `step` it
   * stores the position within that step.
   * @throws the reason, when the process stops, the timeout is up or the job was cancelled; Snooze after `maxRuntime`; TypeError
   * for an invalid cursor, and in a step that is a transaction.
   */
  protected async checkpoint(cursor: Cursor): Promise<void> {
    await requireRun(this).checkpoint.save(cursor);
  }

  /**
   * Reads the checkpoint of an earlier run; in a `step` that of the step.
   * @returns the latest cursor, whether that run failed, was stopped or crashed; undefined if there is none.
   * @throws errors of Postgres; TypeError in a step that is a transaction.
   */
  protected async resumeFrom<T extends Cursor>(): Promise<T | undefined> {
    return (await requireRun(this).checkpoint.cursor()) as T | undefined;
  }

  /**
   * Calls `work` for each row of a query, in the order of its `orderBy`, or of the primary key of its model. A later run of the
   * job (after a failure, a stop or a crash) goes on with the first row that is not done: the place of the latest one is the
   * checkpoint of the job; in a `step` that of the step. Rows are fetched some at a time, and their number is the progress.
   * @param source a query of a model or of knex, whose order has unique columns without NULLs; or a function that is given the
   * last cursor (at first undefined) and returns an iterable of pairs: an item, and the cursor from which to go on after it.
   * @param work gets one row; with `{ batch: 500 }` an array of at most 500.
   * @throws errors of `work` and of the query; KeysetError if the order cannot be used; TypeError for invalid options, in a
   * transaction, or when the cursor is that of something else; what `checkpoint` throws.
   */
  protected each<T, C extends Cursor = Cursor>(source: EachSource<T, C>, work: (row: T) => unknown): Promise<void>;
  protected each<T, C extends Cursor = Cursor>(
    source: EachSource<T, C>,
    options: EachOptions & { readonly batch: number },
    work: (rows: T[]) => unknown,
  ): Promise<void>;
  protected each<T, C extends Cursor = Cursor>(
    source: EachSource<T, C>,
    options: EachOptions & { readonly batch?: never },
    work: (row: T) => unknown,
  ): Promise<void>;
  protected async each(
    source: unknown,
    options: EachOptions | ((given: never) => unknown),
    work?: (given: never) => unknown,
  ): Promise<void> {
    const run = requireRun(this);
    const { each } = await import('./perform/each');
    const [given, call] = typeof options === 'function' ? [{}, options] : [options, work];
    await each(run, source as EachSource<unknown>, given, call as (given: unknown) => unknown);
  }

  /**
   * Runs a step of the work, once it is done never again: a later run of the job (after a failure, a stop or a crash) gets the
   * stored result. The result travels as arguments do; a step without one returns undefined. With `{ transaction: true }` the
   * step's writes and the fact that it is done are committed together, or not at all. Without it, a step that a crash interrupts
   * runs again.
   * @param name 1 to 100 characters, different from those of all other steps of the job.
   * @throws TypeError for an invalid name, one that was used in this run, or a result that cannot travel; JobTakenError if the
   * job was given to another process: a transaction is rolled back; the reason, when the run is aborted.
   */
  protected step<T>(
    name: string,
    work: TransactionWork<T>,
    options: { readonly transaction: true },
  ): Promise<Awaited<T>>;
  protected step<T>(name: string, work: () => T, options?: StepOptions): Promise<Awaited<T>>;
  protected step<T>(name: string, work: TransactionWork<T>, options: StepOptions = {}): Promise<Awaited<T>> {
    const { setup, models } = jobEquipment();
    return requireRun(this).checkpoint.steps.step(name, work, options, { serializers: setup?.serializers, models });
  }

  /**
   * Ends the job together with the writes of `work`, in one transaction. After it nothing runs the job again, so `perform` may
   * only return: an error is reported, and the job is done all the same.
   * @returns the result of `work`. @throws JobTakenError if the job was given to another process, and TypeError inside a
   * transaction or after another commit; the reason, when the run is aborted; errors of `work`. All is rolled back then.
   */
  protected commit<T = void>(work?: TransactionWork<T>): Promise<Awaited<T> | undefined> {
    return requireRun(this).checkpoint.steps.commit(work);
  }

  /**
   * Writes a line to the log of this process, which names the job. A class with `keep` also keeps the first 1,000 lines, or 64 kB,
   * of the run that ends the job. @param fields JSON, shown as attributes.
   */
  protected log(text: string, fields?: Attributes): void {
    const run = requireRun(this);
    run.keeping?.note(text, fields);
    withAttributes(fields ?? {}, () => logLine(run, text));
  }

  /**
   * Shows operators the progress of the work. As cheap as `checkpoint`. @throws TypeError for a value that is not JSON.
   */
  protected async progress(value: JsonValue): Promise<void> {
    await requireRun(this).checkpoint.progress(value);
  }

  /**
   * Connects every job class to Postgres and Redis; undefined disconnects them. Called by the role at boot and stop.
   * @param equipment if omitted, the previous one is kept.
   * @internal
   */
  static connect(enqueuer: Enqueuer | undefined, equipment?: JobDependencies): void {
    connectEnqueuer(enqueuer, equipment);
  }

  /**
   * Enqueues a run. Inside a transaction the run belongs to it: the job runs once that commits, and never if it rolls back.
   * @throws TypeError for arguments that cannot be serialized; NotConnectedError before boot.
   */
  static performLater<J extends Performable>(
    this: JobClass<J>,
    ...args: Args<J>
  ): Promise<EnqueuedJob & JobHandle<ResultOf<J>>> {
    return enqueueOne(this, {}, args).then((job) => withResult(this, job));
  }

  /**
   * Enqueues many runs at once, each with its own arguments: `GreetJob.performAllLater([['Ann'], ['Bob']])`.
   * @returns one result for each, in order.
   * @throws the errors of `performLater`; EnqueueError when only some could be enqueued.
   */
  static performAllLater<J extends Performable>(
    this: JobClass<J>,
    all: readonly Readonly<Args<J>>[],
    options?: BulkOptions,
  ): Promise<EnqueuedJob[]> {
    return enqueueAll(this, {}, all, options);
  }

  /** Prepares a job for the `performAllLater` function, which takes jobs of several classes. */
  static prepare<J extends Performable>(this: JobClass<J>, ...args: Args<J>): PreparedJob {
    return { jobClass: this, options: {}, args };
  }

  /**
   * Cancels a job, wherever it is. A job that waits leaves, and its `unique` key is free. If it runs, in whatever process, its
   * signal is aborted with a JobCancelledError. Then it is cancelled if its run throws, which is no failure and is not
   * retried; it is done if its run ends without an error. Inside a transaction the cancel belongs to it.
   * @returns what was done. @throws TypeError for an id that is no UUID, or an invalid reason; NotConnectedError before boot.
   */
  static async cancel(id: string, { reason }: CancelOptions = {}): Promise<CancelOutcome> {
    return outcomeOf(await connection('Job.cancel').enqueuer.cancel({ id: checkJobId(id) }, checkReason(reason)));
  }

  /**
   * Cancels all jobs of this class, or those of them with a tag; `Job.cancelAll({ tag })` those of all classes. Jobs that are
   * enqueued meanwhile are left alone. A thousand are cancelled in one statement.
   * @throws as `cancel`; TypeError for `Job.cancelAll` without a tag. Some may be cancelled when Postgres fails.
   */
  static async cancelAll(
    this: AbstractJobClass<Performable> & Pick<JobClass, 'jobName'>,
    { tag, reason }: CancelAllOptions = {},
  ): Promise<CancelCounts> {
    const name = (this as unknown) === Job ? undefined : effectiveName(this);
    const caller = `${name ?? 'Job'}.cancelAll`;
    if (tag !== undefined) checkTag(caller, tag);
    else if (name === undefined) throw new TypeError(`${caller} needs a tag: give one, or call it on a class of jobs`);
    return connection(caller).enqueuer.cancel({ class: name, tag }, checkReason(reason));
  }

  /**
   * Waits for the end of a job of this class that any process has enqueued; `Job.result` for that of a job of any class.
   * @returns and @throws as the `result` of what `performLater` returns; TypeError for an id that is no UUID.
   */
  static async result<J extends Performable>(
    this: AbstractJobClass<J> & Pick<JobClass, 'jobName'>,
    id: string,
    options?: ResultOptions,
  ): Promise<ResultOf<J>> {
    const isAny = (this as unknown) === Job;
    if (!isAny) requireKept(this as unknown as JobClass, id);
    const { awaitResult } = await import('./enqueue/result');
    return (await awaitResult(`${isAny ? 'Job' : effectiveName(this)}.result`, checkJobId(id), options)) as ResultOf<J>;
  }

  /** Runs the job in the calling code. @returns the result of `perform`. */
  static async performNow<J extends Performable>(
    this: JobClass<J>,
    ...args: Args<J>
  ): Promise<Awaited<ReturnType<J['perform']>>> {
    const { setup, models } = jobEquipment();
    const codec = { serializers: setup?.serializers, models };
    // The arguments pass through JSON like those of an enqueued job.
    const json = JSON.stringify(serializeArguments(effectiveName(this), args, codec));
    // Most processes only enqueue jobs.
    const { deserializeArguments } = await import('./record/argument-decoder');
    const { performNow } = await import('./perform/perform-job');
    const result = await performNow(this, await deserializeArguments(JSON.parse(json), codec), {
      middleware: setup?.performMiddleware,
    });
    return result as Awaited<ReturnType<J['perform']>>;
  }

  /**
   * Returns the class with options.
   * @throws TypeError, at the enqueue, for invalid or contradictory options.
   */
  static set<J extends Performable>(this: JobClass<J>, options: JobOptions): ConfiguredJob<J> {
    return {
      performLater: (...args) => enqueueOne(this, options, args).then((job) => withResult(this, job)),
      performAllLater: (all, bulk) => enqueueAll(this, options, all, bulk),
      prepare: (...args) => ({ jobClass: this, options, args }),
    };
  }
}

/**
 * Enqueues jobs of any classes at once: `performAllLater([GreetJob.prepare('Ann'), BillJob.set({ wait: '5m'
 * }).prepare(7)])`. They share one transaction. Enqueue callbacks are called for each job,
 * concurrently.
 * @returns one result for each, in order.
 * @throws TypeError, before any is enqueued, for arguments that cannot be serialized; NotConnectedError before boot;
 * EnqueueError when only some could be enqueued.
 */
export function performAllLater(jobs: readonly PreparedJob[], options?: BulkOptions): Promise<EnqueuedJob[]> {
  return enqueueJobs(jobs, 'performAllLater', options);
}

/** Adds `result`, which is no property of the job's data. */
function withResult<J extends Performable>(
  jobClass: JobClass<J>,
  job: EnqueuedJob,
): EnqueuedJob & JobHandle<ResultOf<J>> {
  const result = async (options?: ResultOptions) => {
    requireKept(jobClass, job.id);
    const { awaitResult } = await import('./enqueue/result');
    return awaitResult(`the result() of a ${effectiveName(jobClass)}`, job.id, options);
  };
  return Object.defineProperty({ ...job }, 'result', { value: result }) as EnqueuedJob & JobHandle<ResultOf<J>>;
}

/** @throws JobResultError for a class without `keep`. */
function requireKept(jobClass: JobClass, id: string): void {
  const { name, keep } = compileOptions(jobClass);
  if (!keep)
    throw new JobResultError(
      id,
      'not kept',
      `${name} keeps no results: declare static override readonly keep = '7d' in it`,
    );
}

function enqueueAll(
  jobClass: JobClass,
  options: JobOptions,
  all: readonly (readonly unknown[])[],
  bulk?: BulkOptions,
): Promise<EnqueuedJob[]> {
  const jobs = all.map((args) => ({ jobClass, options, args }));
  return enqueueJobs(jobs, `${effectiveName(jobClass)}.performAllLater`, bulk);
}
