import { setTimeout } from 'node:timers/promises';
import type { Events } from '../../core/events';
import { Redactor } from '../../core/redact';
import type { ModelLookup } from '../../model/model-lookup';
import { toError } from '../../support/to-error';
import { JobCancelledError, PoisonJobError } from '../definition/errors';
import type { JobClass, JobLookup, Performable } from '../definition/job-class';
import { type CompiledOptions, compileOptions } from '../definition/options';
import type { JobSetup, PerformMiddleware } from '../definition/setup';
import { type ExecutionResult, MAX_DELIVERIES } from '../fetch/fetcher';
import { deserializeArguments } from '../record/argument-decoder';
import type { ArgumentCodec } from '../record/arguments';
import type { Keyring } from '../record/encryption';
import type { Delivery } from '../row/job-row';
import { releaseUnique } from '../row/unique';
import { Checkpoint, type CheckpointStore, PostgresCheckpointStore } from './checkpoint';
import { beginRun, JobExecution } from './job-execution';
import { Failures, Outcomes } from './outcomes';
import { performJob } from './perform-job';
import { restorePersisted } from './persisted';
import { attachRun, deliveredRun, type Run, runAsDelivered, watchTimeout } from './run';
import type { TraceRun } from './run-span';
import type { Threads } from './threads';

export interface ExecutorDependencies {
  readonly registry: JobLookup;
  readonly events: Events;
  /** Deliveries without an outcome that a job may have; at the next one it goes to the dead set. */
  readonly maxDeliveries: number;
  /** Runs around every run; the first one is the outermost. */
  readonly middleware?: readonly PerformMiddleware[] | undefined;
  /** Reads the arguments, and writes the results of classes with `keep`. */
  readonly codec?: ArgumentCodec | undefined;
  /** Decrypts the arguments of jobs whose are encrypted. Default: such jobs are left to others. */
  readonly keys?: Keyring | undefined;
  /** Redacts the arguments in events. Default: the default names. */
  readonly filter?: Redactor | undefined;
  /** @returns the store of cursors and progress. Default: in memory, for the length of a run. */
  readonly checkpoints?: (() => CheckpointStore) | undefined;
  /** Performs the jobs of classes with `thread`. Default: they perform here, as in tests. */
  readonly threads?: Threads | undefined;
  /** Releases the claim of a job that is unique until it begins. */
  readonly releaseUnique?: ((id: string) => Promise<void>) | undefined;
  /** Default: runs are not traced. */
  readonly traceRun?: TraceRun | undefined;
  /** Replaces Math.random for the waits of retries. */
  readonly random?: (() => number) | undefined;
  /** The current time, ms since 1970. Default: Date.now. */
  readonly now?: (() => number) | undefined;
  /** How long after its timeout a handler that still runs is reported, ms. Default 10,000. */
  readonly graceMs?: number | undefined;
  /** As in ProcessorTuning. */
  readonly leftForMs?: number | undefined;
  /** How long a handler may go on after an uncaught error of its code, ms. Default 10,000. */
  readonly uncaughtGraceMs?: number | undefined;
}

/** The run that an uncaught error belongs to fails with it now, has ended already, or is unknown. */
export type UncaughtOutcome = 'failed' | 'ended' | 'unknown';

const UNCAUGHT_GRACE_MS = 10_000;

/**
 * A job that blocks the event loop for longer, ms, is followed by a pause: several in a row would stop the heartbeats.
 */
const BLOCKED_MS = 500;
const PAUSE_MS = 10;
const NO_MIDDLEWARE: readonly PerformMiddleware[] = [];

/** Runs delivered jobs and turns each result into an outcome. */
export class Executor {
  readonly runs = new Set<Run>();
  private readonly outcomes: Outcomes;
  /** Knows which jobs this app leaves to others. */
  readonly failures: Failures;
  private readonly middleware: readonly PerformMiddleware[];
  /** true if a returned job keeps its delivery counted, since any of them may have brought the process down. */
  private returnsCount = false;
  /** Pending while jobs wait because one has just blocked the event loop, so that heartbeats can be sent. */
  private pauseAfterBlocking: Promise<void> | undefined;

  constructor(private readonly options: ExecutorDependencies) {
    const { events, now, random, leftForMs, filter = new Redactor() } = options;
    this.middleware = options.middleware ?? NO_MIDDLEWARE;
    this.outcomes = new Outcomes({
      events,
      now,
      filter,
      onCancelled: (job, reason) => this.failures.afterDiscard(job, new JobCancelledError(job.class, reason)),
    });
    this.failures = new Failures({
      events,
      outcomes: this.outcomes,
      random,
      leftForMs,
      returnsCount: () => this.returnsCount,
      prepare: async (job) => {
        const run = this.begin(job);
        this.runs.add(run);
        await this.read(job, run, this.instantiate(job, run), compileOptions(job.requireClass()));
        return run;
      },
      argsFor: (job, run) => this.decodeAgain(job, run),
    });
  }

  /** Runs a delivered job to its outcome. Never rejects, whatever the job or its record is like. */
  async perform(delivery: Delivery): Promise<ExecutionResult> {
    const job = new JobExecution(delivery);
    try {
      job.read();
      job.jobClass = this.options.registry.get(job.class);
      if (job.jobClass) job.decrypt(this.options.keys);
      if (delivery.deliveries > this.options.maxDeliveries) return await this.poisoned(job);
      const jobClass = job.requireClass();
      const { expiredAfterMs } = job;
      if (expiredAfterMs !== undefined) return await this.failures.expired(job, expiredAfterMs);
      const { traceRun } = this.options;
      return await (traceRun ? traceRun(job, () => this.run(job, jobClass)) : this.run(job, jobClass));
    } catch (thrown) {
      return await this.conclude(job, toError(thrown));
    } finally {
      if (job.run) this.runs.delete(job.run);
    }
  }

  /** Called in the handler of an uncaught error: fails the run whose code raised it, which the execution context names. */
  failRunBehind(error: Error): UncaughtOutcome {
    const run = deliveredRun();
    if (!run) return 'unknown';
    return run.fail(error, this.options.uncaughtGraceMs ?? UNCAUGHT_GRACE_MS) ? 'failed' : 'ended';
  }

  /**
   * Aborts all runs since the process stops: an error that a handler throws from now on is not a failure of the job.
   * @param counted true: each of them may have brought the process down, so their deliveries stay counted.
   */
  abort(reason: Error, counted = false): void {
    this.returnsCount ||= counted;
    for (const run of this.runs) run.abort(reason);
  }

  /** Aborts the runs of these jobs, which were asked to cancel. @returns the ids of those that it has. */
  cancel(reasons: ReadonlyMap<string, string>): ReadonlySet<string> {
    const runs = [...this.runs].filter(({ id }) => reasons.has(id));
    for (const run of runs) run.abort(new JobCancelledError(run.class, reasons.get(run.id) ?? ''));
    return new Set(runs.map(({ id }) => id));
  }

  private async conclude(job: JobExecution, error: Error): Promise<ExecutionResult> {
    try {
      return await this.failures.conclude(job, error);
    } catch (thrown) {
      return this.outcomes.dead(job, error, toError(thrown).message);
    }
  }

  private async run(job: JobExecution, jobClass: JobClass): Promise<ExecutionResult> {
    const plan = compileOptions(jobClass);
    while (this.pauseAfterBlocking) await this.pauseAfterBlocking;
    const run = this.begin(job);
    this.runs.add(run);
    this.outcomes.started(job, run.startedAt);
    const unwatch = plan.timeoutMs === undefined ? undefined : this.watch(job, run, plan.timeoutMs);
    try {
      if (job.payload.unique === 'executing') await this.releaseUniqueKey(job);
      const working = runAsDelivered(run, () => this.work(job, run, plan));
      if (run.durationMs > BLOCKED_MS) this.pauseAfterBlocking = this.pauseBriefly();
      await run.settle(working);
      // The run may have returned early because of the signal, with its work unfinished.
      if (run.isAborted && run.watchesSignal && !run.isCommitted) throw run.abortReason;
      unwatch?.();
      run.openCheckpoint?.close();
      const finished = run.isCommitted ? undefined : run.keeping?.finished(run, await working);
      return this.outcomes.succeeded(job, finished);
    } catch (thrown) {
      unwatch?.();
      run.end();
      if (run.isCommitted) {
        run.openCheckpoint?.close();
        if (!run.isAborted) this.outcomes.failedAfterCommit(job, toError(thrown));
        return this.outcomes.succeeded(job);
      }
      await run.openCheckpoint?.flush();
      run.openCheckpoint?.close();
      return await this.conclude(job, run.failure(thrown));
    } finally {
      run.end();
    }
  }

  /** Lets timers fire and their output be written. */
  private async pauseBriefly(): Promise<void> {
    await setTimeout(PAUSE_MS);
    this.pauseAfterBlocking = undefined;
  }

  private begin(job: JobExecution): Run {
    const run: Run = beginRun(job, this.options, () => this.makeCheckpoint(job, run));
    job.run = run;
    return run;
  }

  private work(job: JobExecution, run: Run, plan: CompiledOptions): Promise<unknown> {
    const instance = this.instantiate(job, run);
    const { threads } = this.options;
    if (plan.thread && threads) instance.perform = () => threads.perform(job, run);
    const perform = () => performJob(instance, plan, run, this.middleware);
    const reading = this.read(job, run, instance, plan);
    return reading ? reading.then(perform) : perform();
  }

  /** Called before the arguments are read: a rule that handles a missing record gets the instance. */
  private instantiate(job: JobExecution, run: Run): Performable {
    const instance = new (job.requireClass())();
    attachRun(instance, run);
    job.instance = instance;
    return instance;
  }

  /** @returns a promise only if something has to be awaited. */
  private read(job: JobExecution, run: Run, instance: Performable, plan: CompiledOptions): Promise<void> | undefined {
    const { codec = {}, threads } = this.options;
    // In a thread, the instance there has them.
    if (!plan.persisted || (plan.thread && threads)) return this.readArguments(job, run);
    return restorePersisted(instance, plan.persisted, run, codec).then(() => this.readArguments(job, run));
  }

  private readArguments(job: JobExecution, run: Run): Promise<void> | undefined {
    const read = deserializeArguments(job.payload.args, this.options.codec);
    if (read instanceof Promise) return read.then((values) => take(job, run, values));
    take(job, run, read);
    return undefined;
  }

  /**
   * Decodes the arguments again. If a record is gone, often deleted by this very job, the run's own arguments are used.
   */
  private async decodeAgain(job: JobExecution, run: Run): Promise<readonly unknown[]> {
    try {
      return await deserializeArguments(job.argsAsDelivered(), this.options.codec);
    } catch {
      return run.args;
    }
  }

  private watch(job: JobExecution, run: Run, timeoutMs: number): () => void {
    const { events, graceMs } = this.options;
    const { id, class: name, queue } = job;
    const onIgnored = () => events.emit('job.timeout-ignored', { id, class: name, queue, ageMs: run.durationMs });
    // Listeners of its signal are the run's own code, too.
    return runAsDelivered(run, () => watchTimeout(run, timeoutMs, onIgnored, graceMs));
  }

  /**
   * Ends a job without running it. Each of its deliveries (`MAX_DELIVERIES`, counted by the claim) has ended without an
   * outcome, so it may have killed its processes. The job is dead.
   */
  private poisoned(job: JobExecution): Promise<ExecutionResult> {
    const { deliveries } = job.delivery;
    job.skipsCallback = deliveries > this.options.maxDeliveries + 1;
    const error = new PoisonJobError(deliveries - 1);
    return this.failures.dead(job, error, error.message);
  }

  private async releaseUniqueKey({ id }: JobExecution): Promise<void> {
    try {
      await this.options.releaseUnique?.(id);
    } catch (thrown) {
      this.options.events.emit('queue.error', {
        error: toError(thrown),
        during: 'releasing the claim of a unique job',
      });
    }
  }

  private makeCheckpoint(job: JobExecution, run: Run): Checkpoint {
    const { events, checkpoints } = this.options;
    const store = checkpoints?.();
    const onError = (error: Error) => events.emit('queue.error', { error, during: 'storing the cursor of a job' });
    const { maxRuntimeMs } = compileOptions(job.requireClass());
    return new Checkpoint({ run, owner: job.delivery, store, maxRuntimeMs, onError });
  }
}

function take(job: JobExecution, run: Run, args: readonly unknown[]): void {
  run.args = args;
  job.argsAreRead = true;
}

export interface ExecutorOptions {
  readonly knex: Parameters<typeof releaseUnique>[0];
  /** Of this processor, which has claimed the jobs. */
  readonly identity: string;
  readonly registry: JobLookup;
  readonly events: Events;
  readonly setup: JobSetup;
  readonly models: ModelLookup | undefined;
  readonly keys?: Keyring | undefined;
  readonly threads?: Threads | undefined;
  readonly traceRun?: TraceRun | undefined;
  readonly tuning: Pick<ExecutorDependencies, 'random' | 'now' | 'leftForMs' | 'graceMs' | 'uncaughtGraceMs'> & {
    readonly checkpointMs?: number;
  };
}

/** Makes an executor on the stores of this process, with the app's setup. */
export function createExecutor({ knex, identity, setup, models, tuning, ...options }: ExecutorOptions) {
  return new Executor({
    ...options,
    ...tuning,
    maxDeliveries: MAX_DELIVERIES,
    middleware: setup.performMiddleware,
    codec: { serializers: setup.serializers, models },
    filter: new Redactor(setup.filterArguments),
    checkpoints: () => new PostgresCheckpointStore(knex, identity, tuning.checkpointMs),
    releaseUnique: (id) => releaseUnique(knex, id),
  });
}
