import { Worker } from 'node:worker_threads';
import type { EventName, Events } from '../../core/events';
import { type Attributes, withAttributes } from '../../core/execution-context';
import { toError } from '../../support/to-error';
import { JobCancelledError, JobTakenError, JobThreadError, JobTimeoutError } from '../definition/errors';
import { compileOptions } from '../definition/options';
import type { FinishedJob } from '../row/finished';
import type { Delivery } from '../row/job-row';
import { type CarriedError, carryError, receiveError } from './carried-error';
import type { JobExecution } from './job-execution';
import { type Run, runAsDelivered } from './run';

/** Time that a run has to end after its timeout or its cancel, ms. Then its thread is ended. */
const GRACE_MS = 5000;
/** The same while the process stops, and its jobs have to go back to their queues. It is less than `abortedJobs` of a stop. */
const STOP_GRACE_MS = 150;
const IDLE_MS = 30_000;

/** How a thread starts. */
export interface ThreadSource {
  /** The file that it runs, which calls `serveRuns`. */
  readonly file: string;
  /** Its `workerData`, with the identity of the processor added. */
  readonly data: object;
}

export interface ThreadsOptions extends ThreadSource {
  readonly identity: string;
  /** Maximum number of threads. Other runs wait for one. */
  readonly most: number;
  readonly events: Events;
  /** As `threadGraceMs` and `threadIdleMs` in ProcessorTuning. */
  readonly graceMs?: number | undefined;
  readonly idleMs?: number | undefined;
}

export type ToThread =
  | { readonly do: 'perform'; readonly delivery: Delivery }
  | { readonly do: 'abort'; readonly reason: CarriedError };

/** What a thread tells: an event of its code, or the end of its run. */
export type FromThread =
  | { readonly tells: 'event'; readonly name: EventName; readonly payload: never; readonly attributes: Attributes }
  | ({ readonly tells: 'end' } & ThreadEnd);

export interface ThreadEnd {
  readonly error?: CarriedError;
  /** true: the error is the reason why it was aborted. */
  readonly isReason?: boolean;
  /** What is kept of the job. */
  readonly finished?: FinishedJob | undefined;
  /** Why its result is not. */
  readonly lost?: string | undefined;
  readonly isCommitted: boolean;
  readonly watchesSignal: boolean;
}

/** The threads of a job processor. Each is made when a job needs it, and serves one job after another. */
export class Threads {
  private readonly all = new Set<Thread>();
  /** Called when a thread may be free. */
  private readonly waiting = new Set<() => void>();
  private closed = false;

  constructor(private readonly options: ThreadsOptions) {}

  /** Performs a job whose class has `thread`. The result is with `run.keeping`, if its class keeps it. */
  async perform(job: JobExecution, run: Run): Promise<void> {
    const { jobClass, delivery } = job;
    const thread = await this.take((jobClass && compileOptions(jobClass).thread?.memoryMb) ?? 0, run);
    const end = await thread.perform(run, delivery);
    run.isCommitted = end.isCommitted;
    // Whoever reads it may have ended because of it.
    if (end.watchesSignal) run.signal;
    if (end.finished) run.keeping?.take(end.finished, end.lost);
    if (!end.error) return;
    if (end.isReason && run.abortReason) throw run.abortReason;
    const error = receiveError(end.error, jobClass);
    if (error instanceof JobTakenError) run.abort(error);
    throw error;
  }

  /** Ends all threads, and with them what they do. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    await Promise.all([...this.all].map((thread) => thread.terminate()));
  }

  get size(): number {
    return this.all.size;
  }

  /** @throws the reason why the run was aborted, if that happens while it waits. */
  private async take(memoryMb: number, run: Run): Promise<Thread> {
    for (;;) {
      if (run.abortReason) throw run.abortReason;
      if (this.closed) throw new Error('the process is stopping');
      const idle = [...this.all].filter((thread) => thread.isIdle);
      const fitting = idle.findLast((thread) => thread.memoryMb === memoryMb);
      if (fitting) return fitting.reserve();
      if (this.all.size < this.options.most) return this.start(memoryMb).reserve();
      // It gives its place to one with the wanted memory.
      if (idle[0]) await idle[0].reserve().terminate();
      else await this.mayBeFree(run);
    }
  }

  private mayBeFree(run: Run): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.waiting.delete(go);
        resolve();
      };
      this.waiting.add(go);
      run.onAbort = go;
    });
  }

  private wake(): void {
    for (const go of [...this.waiting]) go();
  }

  private start(memoryMb: number): Thread {
    const thread = new Thread(this.options, memoryMb, () => {
      if (thread.hasEnded) this.all.delete(thread);
      this.wake();
    });
    this.all.add(thread);
    return thread;
  }
}

interface Current {
  readonly run: Run;
  readonly resolve: (end: ThreadEnd) => void;
  readonly reject: (error: Error) => void;
}

/** One thread, which performs one job at a time. */
class Thread {
  hasEnded = false;
  private readonly worker: Worker;
  private current: Current | undefined;
  private isReserved = false;
  private patience: NodeJS.Timeout | undefined;
  private idling: NodeJS.Timeout | undefined;
  /** Why it was terminated, if a run has ignored its signal. */
  private ignored: JobThreadError | undefined;

  /** @param onFree called when it has no run any more, and when it has ended. */
  constructor(
    private readonly options: ThreadsOptions,
    readonly memoryMb: number,
    private readonly onFree: () => void,
  ) {
    const { file, data, identity, events } = options;
    const resourceLimits = { maxOldGenerationSizeMb: memoryMb };
    this.worker = new Worker(file, { workerData: { ...data, identity }, resourceLimits, name: 'job' });
    this.worker.on('message', (told: FromThread) => {
      if (told.tells === 'end') return this.settle((current) => current.resolve(told));
      const emit = () => withAttributes(told.attributes, () => events.emit(told.name, told.payload));
      return this.current ? runAsDelivered(this.current.run, emit) : emit();
    });
    this.worker.on('error', (thrown: unknown) => this.fail(toError(thrown)));
    this.worker.on('exit', (code) => {
      this.hasEnded = true;
      clearTimeout(this.idling);
      const why = `its thread ended with the code ${code}: let the job return or throw instead`;
      this.fail(this.ignored ?? new JobThreadError(this.current?.run.class ?? 'a job', 'exited', why));
      onFree();
    });
  }

  get isIdle(): boolean {
    return !this.isReserved && !this.hasEnded;
  }

  reserve(): this {
    this.isReserved = true;
    clearTimeout(this.idling);
    this.worker.ref();
    return this;
  }

  perform(run: Run, delivery: Delivery): Promise<ThreadEnd> {
    return new Promise((resolve, reject) => {
      this.current = { run, resolve, reject };
      this.post({ do: 'perform', delivery });
      run.onAbort = (reason) => this.abort(run, reason);
      if (run.abortReason) this.abort(run, run.abortReason);
    });
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
  }

  private post(message: ToThread): void {
    this.worker.postMessage(message);
  }

  private abort(run: Run, reason: Error): void {
    if (this.patience) return;
    this.post({ do: 'abort', reason: carryError(reason) });
    const isOfJob = reason instanceof JobTimeoutError || reason instanceof JobCancelledError;
    const graceMs = isOfJob ? (this.options.graceMs ?? GRACE_MS) : STOP_GRACE_MS;
    this.patience = setTimeout(() => {
      const why = `it went on for ${graceMs} ms after its signal, so its thread was ended`;
      this.ignored = new JobThreadError(run.class, 'terminated', why);
      void this.terminate();
    }, graceMs);
  }

  private fail(error: Error): void {
    const { current, hasEnded } = this;
    const isMemory = 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    const needed = `it needed more than the ${this.memoryMb} MB of its thread: raise memory in static thread, or do less at once`;
    this.settle(({ run, reject }) => reject(isMemory ? new JobThreadError(run.class, 'out of memory', needed) : error));
    if (!current && !hasEnded)
      this.options.events.emit('process.error', { error, during: 'the rest of a job that has ended' });
    // A thread with an uncaught error is about to end.
    this.isReserved = true;
  }

  private settle(end: (current: Current) => void): void {
    const { current } = this;
    if (!current) return;
    current.run.onAbort = undefined;
    clearTimeout(this.patience);
    this.patience = undefined;
    this.current = undefined;
    this.isReserved = false;
    this.worker.unref();
    this.idling = setTimeout(() => void this.reserve().terminate(), this.options.idleMs ?? IDLE_MS);
    this.idling.unref();
    end(current);
    this.onFree();
  }
}
