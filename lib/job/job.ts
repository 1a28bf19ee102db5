import { randomUUID } from 'node:crypto';
import { NotConnectedError } from '../core/errors';
import { currentContext } from '../core/execution-context';
import type { JobArguments } from './enqueue/argument-types';
import { deserializeArguments, serializeArguments } from './enqueue/arguments';
import type { EnqueuedJob, EnqueueRequest, Enqueuer } from './enqueue/request';
import { runAt } from './enqueue/run-at';
import { type Args, type JobClass, type JobContext, type JobOptions, jobNameOf, type Performable } from './job-class';
import { contextOf, performInContext } from './perform/perform-in-context';
import { DEFAULT_RETRY, type RetryAnswer, type RetryOptions } from './perform/retry-policy';

/** A job class with options, as `set()` gives it. */
export interface ConfiguredJob<J extends Performable> {
  performLater(...args: Args<J>): Promise<EnqueuedJob>;
}

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
    return contextOf(this);
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
    const context = { id: randomUUID(), attempt: 1, queue: this.queue, signal: new AbortController().signal };
    // The same trip through JSON as a job that is enqueued.
    const json = JSON.stringify(serializeArguments(jobNameOf(this), args));
    const result = await performInContext(this, context, await deserializeArguments(JSON.parse(json)));
    return result as Awaited<ReturnType<J['perform']>>;
  }

  /** @throws TypeError for options that contradict each other or make no sense. */
  static set<J extends Performable>(this: JobClass<J>, options: JobOptions): ConfiguredJob<J> {
    return { performLater: (...args) => enqueue(this, options, args) };
  }
}

async function enqueue(jobClass: JobClass, options: JobOptions, args: readonly unknown[]): Promise<EnqueuedJob> {
  const name = jobNameOf(jobClass);
  if (!connected) {
    throw new NotConnectedError(
      `${name}.performLater was called before boot() connected the job layer; call it from a request, a job or a script started by boot()`,
    );
  }
  const { requestId, locale } = currentContext();
  const request: EnqueueRequest = {
    id: randomUUID(),
    jobClass,
    name,
    args: serializeArguments(name, args),
    queue: options.queue ?? jobClass.queue,
    durable: jobClass.durable,
    runAt: runAt(options.wait, options.waitUntil),
    trx: options.trx,
    unique: undefined,
    tags: [],
    context: { ...(requestId !== undefined && { requestId }), ...(locale !== undefined && { locale }) },
  };
  const [enqueued] = await connected.enqueue([request]);
  if (!enqueued) throw new Error(`${name}: the enqueuer gave no answer`);
  return enqueued;
}
