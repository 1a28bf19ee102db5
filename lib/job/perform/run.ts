import { randomUUID } from 'node:crypto';
import { NotConnectedError } from '../../core/errors';
import { currentContext, type ExecutionContext, runInContext } from '../../core/execution-context';
import { toError } from '../../support/async';
import type { CarriedContext, JobClass, JobContext, Performable } from '../definition/job-class';
import { type CompiledOptions, compileOptions } from '../definition/options';
import type { JobRun, PerformMiddleware } from '../definition/setup';
import { Checkpoint, MemoryNoteStore } from './checkpoint';

/** What a run is about. */
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
  /** Cursor and progress. */
  readonly makeNotes: () => Checkpoint;
}

/** One run of a job in this process. */
export class Run implements JobRun {
  /** ms since 1970. */
  readonly startedAt = Date.now();
  /** As `perform` gets them; empty until they are read. */
  args: readonly unknown[] = [];
  private readonly began = performance.now();
  private controller: AbortController | undefined;
  private reason: Error | undefined;
  private madeNotes: Checkpoint | undefined;
  /** What it left for nobody to catch. */
  private uncaught: Error | undefined;
  private giveUp: ((error: Error) => void) | undefined;
  private patience: NodeJS.Timeout | undefined;
  private ended = false;

  constructor(private readonly subject: RunSubject) {}

  get id(): string {
    return this.subject.id;
  }

  get queue(): string {
    return this.subject.queue;
  }

  get class(): string {
    return this.subject.class;
  }

  get attempt(): number {
    return this.subject.attempt;
  }

  get deliveries(): number {
    return this.subject.deliveries;
  }

  get tags(): readonly string[] {
    return this.subject.tags;
  }

  get enqueuedAt(): Date {
    return new Date(this.subject.enqueuedAtMs);
  }

  get carried(): CarriedContext {
    return this.subject.carried;
  }

  /** Made when a job first asks for it: few do. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Why it is aborted. */
  get abortReason(): Error | undefined {
    return this.reason;
  }

  get durationMs(): number {
    return Math.round(performance.now() - this.began);
  }

  /** Made when a job first uses it: few do. */
  get notes(): Checkpoint {
    this.madeNotes ??= this.subject.makeNotes();
    return this.madeNotes;
  }

  /** undefined: the job has not used it. */
  get notesInUse(): Checkpoint | undefined {
    return this.madeNotes;
  }

  /** Its process stops, or lost it to another: what it rejects with from now on is no failure of its own. */
  get isAborted(): boolean {
    return this.reason !== undefined && !(this.reason instanceof JobTimeoutError) && this.reason !== this.uncaught;
  }

  /** The job has asked for its signal, and may end because of it. */
  get watchesSignal(): boolean {
    return this.controller !== undefined;
  }

  /** What the run failed with, given what it rejected with. */
  failure(thrown: unknown): Error {
    const { reason, uncaught } = this;
    if (uncaught && uncaught === reason) return uncaught;
    if (!(reason instanceof JobTimeoutError)) return toError(thrown);
    if (thrown !== reason) reason.cause ??= thrown;
    return reason;
  }

  /** Resolves as `work` does, unless the run fails by `fail`: then it rejects, at the latest after the time given there. */
  settle(work: Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.giveUp = reject;
      work.then(() => (this.uncaught ? reject(this.uncaught) : resolve()), reject);
    });
  }

  /**
   * An error that its code has left for nobody to catch is its failure. It is aborted and may end by itself; what it
   * awaits may never come by now, so it is waited for only so long.
   * @returns false: it has ended, or been called off, so this changes nothing any more.
   */
  fail(error: Error, patienceMs: number): boolean {
    if (this.ended || this.isAborted) return false;
    if (this.uncaught) return true;
    this.uncaught = error;
    this.patience = setTimeout(() => this.giveUp?.(error), patienceMs);
    this.abort(error);
    return true;
  }

  /** What becomes of it is settled. */
  end(): void {
    this.ended = true;
    clearTimeout(this.patience);
  }

  /** The first reason stays. */
  abort(reason: Error): void {
    this.reason ??= reason;
    this.controller?.abort(this.reason);
  }
}

/** How long a handler may take to heed its aborted signal before it is told of as overdue, ms. */
const OVERDUE_MS = 10_000;

/** A run took longer than its class's `timeout`. Its `cause` is what the handler then rejected with. */
export class JobTimeoutError extends Error {
  override readonly name = 'JobTimeoutError';

  constructor(
    readonly jobName: string,
    readonly timeoutMs: number,
  ) {
    super(`${jobName} did not end within its timeout of ${timeoutMs} ms`);
  }
}

/**
 * Aborts the run when its time is up. It is left to the handler to end: until then its slot is kept.
 * @param onOverdue called once, when the handler goes on all the same.
 * @returns a function that ends the watch.
 */
export function watchTimeout(run: Run, timeoutMs: number, onOverdue: () => void, overdueMs = OVERDUE_MS): () => void {
  let timer = setTimeout(() => {
    run.abort(new JobTimeoutError(run.class, timeoutMs));
    timer = setTimeout(onOverdue, overdueMs);
  }, timeoutMs);
  return () => clearTimeout(timer);
}

/** On the instance: a WeakMap would cost the garbage collector more than all the rest of a short job. */
const RUN = Symbol('run');

interface Attached {
  [RUN]?: Run;
}

/** @throws NotConnectedError when nobody is performing this instance. */
export function contextOf(job: object): JobContext {
  return runOf(job);
}

/** @throws NotConnectedError when nobody is performing this instance. */
export function runOf(job: object): Run {
  const run = (job as Attached)[RUN];
  if (!run) throw new NotConnectedError('this.context exists only while the job is being performed');
  return run;
}

/** From now on `run` is what the job has as its `this.context`. */
export function attachRun(job: object, run: Run): void {
  (job as Attached)[RUN] = run;
}

/** Runs `work` in the execution context of the run: log lines name it, and jobs that it enqueues carry on its request's. */
export function runInContextOf<T>({ id, class: jobClass, attempt, carried }: Run, work: () => T): T {
  return runInContext({ jobId: id, jobClass, attempt, ...carried }, work);
}

/** In the execution context. A job that is performed within a run, by `performNow`, is a part of that run. */
const DELIVERED_RUN = Symbol('delivered run');

type ContextOfRun = ExecutionContext & { readonly [DELIVERED_RUN]?: Run };

/** The same for the run of a delivered job, which fails by an error that its code leaves for nobody to catch. */
export function runAsDelivered<T>(run: Run, work: () => T): T {
  const { id: jobId, class: jobClass, attempt, carried } = run;
  const context: ContextOfRun = { jobId, jobClass, attempt, ...carried, [DELIVERED_RUN]: run };
  return runInContext(context, work);
}

/** The run of the delivered job that the code at hand belongs to, which may have ended. */
export function deliveredRun(): Run | undefined {
  return (currentContext() as ContextOfRun)[DELIVERED_RUN];
}

/** Middleware, callbacks, `perform`. In the context of its run already. @returns what `perform` returns. */
export async function performJob(
  job: Performable,
  plan: CompiledOptions,
  run: Run,
  middleware: readonly PerformMiddleware[],
): Promise<unknown> {
  if (plan.bare && middleware.length === 0) return job.perform(...(run.args as never[]));
  if (middleware.length === 0) return performWithCallbacks(job, plan, run.args);
  let result: unknown;
  await runThrough(middleware, run, async () => {
    result = await performWithCallbacks(job, plan, run.args);
  });
  return result;
}

type Work = () => Promise<void>;

/** Runs `work` inside all of them, the first one outermost. A middleware that does not call `next` skips the rest. */
export async function runThrough(middleware: readonly PerformMiddleware[], run: JobRun, work: Work): Promise<void> {
  const enter = (index: number): Promise<void> => {
    const layer = middleware[index];
    if (!layer) return work();
    return around(
      (next) => layer(run, next),
      () => enter(index + 1),
      `the perform middleware ${layer.name || index + 1}`,
    );
  };
  await enter(0);
}

/**
 * Runs `layer` around `inner`, and holds on until both have ended: else a job would count as done while it still runs.
 * @param name of the layer, for errors.
 * @throws Error when the layer ends before what it began, or begins it twice.
 */
export async function around(layer: (next: Work) => unknown, inner: Work, name: string): Promise<void> {
  let begun: Promise<void> | undefined;
  let ended = false;
  const end = () => {
    ended = true;
  };
  await layer(() => {
    if (begun) return Promise.reject(new Error(`${name} called next() twice`));
    begun = inner();
    begun.then(end, end);
    return begun;
  });
  if (!begun || ended) return;
  await (begun as Promise<void>).catch(() => undefined);
  throw new Error(`${name} did not await next()`);
}

/** `perform` with the class's own callbacks: beforePerform, then aroundPerform around perform, then afterPerform. */
export async function performWithCallbacks(
  job: Performable,
  plan: CompiledOptions,
  args: readonly unknown[],
): Promise<unknown> {
  const given = args as never[];
  let performed = false;
  let result: unknown;
  const perform = async () => {
    result = await job.perform(...given);
    performed = true;
  };
  if (plan.before) await job.beforePerform?.(...given);
  if (plan.around) {
    await around((next) => job.aroundPerform?.(next, ...given), perform, `aroundPerform of ${plan.name}`);
  } else await perform();
  if (plan.after && performed) await job.afterPerform?.(...given);
  return result;
}

/** A run without a record in Redis. Left out: a fresh id, the first attempt, the class's queue and tags. */
export interface RunHere {
  readonly id?: string;
  readonly attempt?: number;
  readonly queue?: string;
  readonly tags?: readonly string[];
  /** In place of the context of the code that calls. */
  readonly carried?: CarriedContext;
  /** The app's. */
  readonly middleware?: readonly PerformMiddleware[] | undefined;
}

/**
 * Runs a job here and now: with its callbacks and its timeout, without retries or a record. Its cursor and progress are
 * kept in memory.
 * @throws what `perform` or a callback throws; JobTimeoutError when it is late and then rejects.
 */
export async function performNow(
  jobClass: JobClass,
  args: readonly unknown[],
  {
    id = randomUUID(),
    attempt = 1,
    queue = jobClass.queue,
    tags = jobClass.tags ?? [],
    carried = {},
    middleware = [],
  }: RunHere = {},
): Promise<unknown> {
  const plan = compileOptions(jobClass);
  const store = new MemoryNoteStore();
  const owner = { id, queue, fence: '' };
  const makeNotes = (): Checkpoint => new Checkpoint({ run, owner, store, onError: () => undefined });
  const enqueuedAtMs = Date.now();
  const run: Run = new Run({
    id,
    queue,
    attempt,
    tags,
    class: plan.name,
    deliveries: 1,
    enqueuedAtMs,
    carried,
    makeNotes,
  });
  run.args = args;
  const job: Performable = new jobClass();
  attachRun(job, run);
  const unwatch = plan.timeoutMs === undefined ? undefined : watchTimeout(run, plan.timeoutMs, () => undefined);
  try {
    return await runInContextOf(run, () => performJob(job, plan, run, middleware));
  } catch (thrown) {
    throw run.failure(thrown);
  } finally {
    unwatch?.();
    run.notesInUse?.close();
  }
}
