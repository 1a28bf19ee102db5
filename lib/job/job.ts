import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { NotConnectedError } from '../core/errors';
import { runInContext } from '../core/execution-context';
import type { Duration } from '../support/duration';
import { checkArguments } from './enqueue/arguments';
import type { EnqueuedJob, Enqueuer } from './enqueue/enqueuer';
import { runAt } from './enqueue/run-at';
import { DEFAULT_RETRY, type RetryAnswer, type RetryOptions } from './perform/retry-policy';
import type { JsonValue } from './record/json';

/** What `this.context` tells a running job of its run. */
export interface JobContext {
  readonly id: string;
  /** 1 for the first run. */
  readonly attempt: number;
  readonly queue: string;
  /** Aborted when the process stops and cannot wait: what still runs then goes back to the head of its queue. */
  readonly signal: AbortSignal;
}

/** Anything with a `perform`, whatever its arguments. */
export interface Performable {
  perform(...args: never[]): unknown;
}

/** A concrete subclass of `Job`, as a value. */
export interface JobClass<J extends Performable = Performable> {
  new (): J;
  readonly name: string;
  readonly jobName?: string;
  readonly queue: string;
  readonly retry: RetryOptions;
  readonly durable: boolean;
  retryIn?(attempt: number, error: Error): RetryAnswer;
}

export interface JobOptions {
  /** Not before this much time has passed. */
  readonly wait?: Duration | undefined;
  /** Not before this moment. */
  readonly waitUntil?: Date | undefined;
  /** Instead of the class's own. */
  readonly queue?: string | undefined;
  /** Enqueues in this transaction; needed only where `transaction()` is not in use. */
  readonly trx?: Knex.Transaction | undefined;
}

type Args<J extends Performable> = Parameters<J['perform']>;

/** A job class with options, as `set()` gives it. */
export interface ConfiguredJob<J extends Performable> {
  performLater(...args: Args<J>): Promise<EnqueuedJob>;
}

/** undefined stands for an optional argument that is left out; it cannot be passed. */
export type JobArguments = readonly (JsonValue | undefined)[];

const contexts = new WeakMap<Performable, JobContext>();
let connected: Enqueuer | undefined;

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

  /**
   * Overrides the wait after one failure: a length of time, 'discard', 'dead', or undefined for the usual one.
   * The limit of retries holds all the same.
   * @param attempt the run that failed, from 1.
   */
  static retryIn?(attempt: number, error: Error): RetryAnswer;

  /** The work. A rejection is a failure: see `DiscardJob`, `KillJob` and `retryIn`. */
  abstract perform(...args: A): unknown;

  /** @throws NotConnectedError when nobody is performing this instance. */
  get context(): JobContext {
    const context = contexts.get(this);
    if (!context) throw new NotConnectedError('this.context exists only while the job is being performed');
    return context;
  }

  /** Gives every job class its way to Redis and Postgres; undefined takes it away. Called by the role at boot and stop. */
  static connect(enqueuer: Enqueuer | undefined): void {
    connected = enqueuer;
  }

  /**
   * Enqueues a run. Inside a transaction it goes with it: to be run once that commits, never if it rolls back.
   * @throws TypeError for arguments that JSON cannot carry; NotConnectedError before boot.
   */
  static performLater<J extends Performable>(this: JobClass<J>, ...args: Args<J>): Promise<EnqueuedJob> {
    return enqueue(this, {}, args);
  }

  /** Runs it here and now, in the caller's time. @returns what `perform` returns. */
  static async performNow<J extends Performable>(
    this: JobClass<J>,
    ...args: Args<J>
  ): Promise<Awaited<ReturnType<J['perform']>>> {
    const given: readonly unknown[] = args;
    checkArguments(jobNameOf(this), given);
    const context = { id: randomUUID(), attempt: 1, queue: this.queue, signal: new AbortController().signal };
    // The same trip through JSON as a job that is enqueued.
    const result = await performInContext(this, context, JSON.parse(JSON.stringify(given)) as JsonValue[]);
    return result as Awaited<ReturnType<J['perform']>>;
  }

  /** @throws TypeError for options that contradict each other or make no sense. */
  static set<J extends Performable>(this: JobClass<J>, options: JobOptions): ConfiguredJob<J> {
    return { performLater: (...args) => enqueue(this, options, args) };
  }
}

export function jobNameOf(jobClass: JobClass): string {
  return jobClass.jobName ?? jobClass.name;
}

/** Runs one job of the class, with `context` as its `this.context` and in the execution context. */
export async function performInContext(
  jobClass: JobClass,
  context: JobContext,
  args: readonly JsonValue[],
  attrs: { readonly requestId?: string; readonly locale?: string } = {},
): Promise<unknown> {
  const job = new jobClass();
  contexts.set(job, context);
  const { id, attempt } = context;
  return runInContext({ ...attrs, jobId: id, jobClass: jobNameOf(jobClass), attempt }, () =>
    job.perform(...(args as never[])),
  );
}

async function enqueue(jobClass: JobClass, options: JobOptions, args: readonly unknown[]): Promise<EnqueuedJob> {
  const name = jobNameOf(jobClass);
  if (!connected) {
    throw new NotConnectedError(
      `${name}.performLater was called before boot() connected the job layer; call it from a request, a job or a script started by boot()`,
    );
  }
  checkArguments(name, args);
  return connected.enqueue({
    name,
    args,
    queue: options.queue ?? jobClass.queue,
    durable: jobClass.durable,
    runAt: runAt(options.wait, options.waitUntil),
    trx: options.trx,
  });
}
