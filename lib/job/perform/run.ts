import { NotConnectedError } from '../../core/errors';
import { currentContext, type ExecutionContext, runInContext } from '../../core/execution-context';
import { toError } from '../../support/to-error';
import { JobCancelledError, JobTimeoutError } from '../definition/errors';
import type { CarriedContext, JobContext } from '../definition/job-class';
import type { JobRun } from '../definition/setup';
import type { Keyring } from '../record/encryption';
import type { Checkpoint } from './checkpoint';
import type { Keeping } from './keeping';

/** The data of a run. */
export interface RunSubject {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  readonly attempt: number;
  readonly deliveries: number;
  readonly tags: readonly string[];
  /** ms since 1970. */
  readonly enqueuedAtMs: number;
  readonly carried: CarriedContext;
  readonly batchId?: string | undefined;
  readonly makeCheckpoint: () => Checkpoint;
  /** The keys of a job that encrypts, for what it stores. */
  readonly keys?: Keyring | undefined;
  /** undefined: its class does not keep finished jobs. */
  readonly keeping?: Keeping | undefined;
}

export class Run implements JobRun {
  readonly id = this.subject.id;
  readonly queue = this.subject.queue;
  readonly class = this.subject.class;
  readonly attempt = this.subject.attempt;
  readonly deliveries = this.subject.deliveries;
  readonly tags = this.subject.tags;
  readonly batchId = this.subject.batchId;
  readonly carried = this.subject.carried;
  readonly keys = this.subject.keys;
  readonly keeping = this.subject.keeping;
  /** ms since 1970. */
  readonly startedAt = Date.now();
  /** The arguments as `perform` gets them; empty until they are read. */
  args: readonly unknown[] = [];
  /** true once `commit` has ended the job: whatever happens now cannot run it again. */
  isCommitted = false;
  private readonly began = performance.now();
  private controller: AbortController | undefined;
  private reason: Error | undefined;
  private made: Checkpoint | undefined;
  private uncaught: Error | undefined;
  private giveUp: ((error: Error) => void) | undefined;
  private patience: NodeJS.Timeout | undefined;
  private ended = false;
  /** Called when it is aborted. It stands for the signal, which is made only for the code of the job. */
  onAbort: ((reason: Error) => void) | undefined;

  constructor(private readonly subject: RunSubject) {}

  get enqueuedAt(): Date {
    return new Date(this.subject.enqueuedAtMs);
  }

  /** Made on first use, since few jobs use it. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** The reason why it is aborted; undefined while it is not. */
  get abortReason(): Error | undefined {
    return this.reason;
  }

  get durationMs(): number {
    return Math.round(performance.now() - this.began);
  }

  /** Made on first use, since few jobs use it. */
  get checkpoint(): Checkpoint {
    this.made ??= this.subject.makeCheckpoint();
    return this.made;
  }

  /** undefined if the job has not used it. */
  get openCheckpoint(): Checkpoint | undefined {
    return this.made;
  }

  /** true if its process stops, or has lost the job to another: an error from now on is not a failure of the job. */
  get isAborted(): boolean {
    const { reason, uncaught } = this;
    return reason !== undefined && !(reason instanceof JobTimeoutError) && reason !== uncaught && !this.isCancelled;
  }

  /** true if it was asked to cancel. It may be done all the same; with any error it ends as cancelled. */
  get isCancelled(): boolean {
    return this.reason instanceof JobCancelledError;
  }

  /** true if the job has read its signal, so that it may end because of it. */
  get watchesSignal(): boolean {
    return this.controller !== undefined;
  }

  /** The error of the run, given the one that it threw. */
  failure(thrown: unknown): Error {
    const { reason, uncaught } = this;
    if (uncaught && uncaught === reason) return uncaught;
    if (!(reason instanceof JobTimeoutError || reason instanceof JobCancelledError)) return toError(thrown);
    if (thrown !== reason) reason.cause ??= thrown;
    return reason;
  }

  /** Resolves as `work` does. If the run fails by `fail`, it rejects, at the latest after the time given there. */
  settle(work: Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.giveUp = reject;
      work.then(() => (this.uncaught ? reject(this.uncaught) : resolve()), reject);
    });
  }

  /**
   * Makes an uncaught error of the job's code the failure of the run. The run is aborted and may end by itself. A promise that
   * it awaits may never settle now, so the wait is limited to `patienceMs`.
   * @returns false if the run has ended or was aborted before, so that nothing changes.
   */
  fail(error: Error, patienceMs: number): boolean {
    if (this.ended || this.isAborted) return false;
    if (this.uncaught) return true;
    this.uncaught = error;
    this.patience = setTimeout(() => this.giveUp?.(error), patienceMs);
    this.abort(error);
    return true;
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.patience);
  }

  /** Aborts the run. The first reason is kept. */
  abort(reason: Error): void {
    this.reason ??= reason;
    this.onAbort?.(this.reason);
    this.controller?.abort(this.reason);
  }
}

/** Time that a handler has to react to its timeout before it is reported, ms. */
const GRACE_MS = 10_000;

/**
 * Aborts the run when its time is up. The handler has to end by itself, and keeps its slot until then.
 * @param onIgnored called once, if the handler still runs after `graceMs`.
 * @returns a function that ends the watch.
 */
export function watchTimeout(run: Run, timeoutMs: number, onIgnored: () => void, graceMs = GRACE_MS): () => void {
  let timer = setTimeout(() => {
    run.abort(new JobTimeoutError(run.class, timeoutMs));
    timer = setTimeout(onIgnored, graceMs);
  }, timeoutMs);
  return () => clearTimeout(timer);
}

/** A property of the instance: a WeakMap would cost the garbage collector more than all the rest of a short job. */
const RUN = Symbol('run');

interface Attached {
  [RUN]?: Run;
}

/** @throws NotConnectedError when this instance is not being performed. */
export function requireContext(job: object): JobContext {
  return requireRun(job);
}

/** @throws NotConnectedError when this instance is not being performed. */
export function requireRun(job: object): Run {
  const run = (job as Attached)[RUN];
  if (!run) throw new NotConnectedError('this.context exists only while the job is being performed');
  return run;
}

/** Makes `run` the `this.context` of the job. */
export function attachRun(job: object, run: Run): void {
  (job as Attached)[RUN] = run;
}

/** Runs `work` in the context of the run: log lines name the job, and jobs that it enqueues carry its request id. */
export function runInOwnContext<T>({ id, class: jobClass, attempt, carried }: Run, work: () => T): T {
  return runInContext({ jobId: id, jobClass, attempt, ...carried }, work);
}

/** Key in the execution context. A job that is performed within a run, by `performNow`, is a part of that run. */
const DELIVERED_RUN = Symbol('delivered run');

type ContextOfRun = ExecutionContext & { readonly [DELIVERED_RUN]?: Run };

/** Like `runInOwnContext`, for a delivered job: an uncaught error of its code fails the run. */
export function runAsDelivered<T>(run: Run, work: () => T): T {
  const { id: jobId, class: jobClass, attempt, carried } = run;
  const context: ContextOfRun = { jobId, jobClass, attempt, ...carried, [DELIVERED_RUN]: run };
  return runInContext(context, work);
}

/** The run of the delivered job that the current code belongs to; it may have ended. */
export function deliveredRun(): Run | undefined {
  return (currentContext() as ContextOfRun)[DELIVERED_RUN];
}
