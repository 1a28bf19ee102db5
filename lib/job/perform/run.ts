import { toError } from '../../core/errors';
import type { CarriedContext } from '../enqueue/request';
import type { JobRun } from '../setup';
import type { RunNotes } from './run-notes';
import { JobTimeoutError } from './timeout';

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
  readonly makeNotes: () => RunNotes;
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
  private madeNotes: RunNotes | undefined;
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
  get notes(): RunNotes {
    this.madeNotes ??= this.subject.makeNotes();
    return this.madeNotes;
  }

  /** undefined: the job has not used it. */
  get notesInUse(): RunNotes | undefined {
    return this.madeNotes;
  }

  /** Its process stops, or lost it to another: what it rejects with from now on is no failure of its own. */
  get calledOff(): boolean {
    return this.reason !== undefined && !(this.reason instanceof JobTimeoutError) && this.reason !== this.uncaught;
  }

  /** The job has asked for its signal, and may end because of it. */
  get heedsSignal(): boolean {
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
    if (this.ended || this.calledOff) return false;
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
