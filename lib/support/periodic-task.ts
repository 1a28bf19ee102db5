import { Backoff } from './backoff';
import type { Progress } from './progress';
import { toError } from './to-error';

interface RecurringOptions {
  /** Longest pause between two passes, ms. */
  readonly everyMs: number;
  /** One pass. @returns ms until the next one, when it is wanted before `everyMs` is over. */
  readonly work: () => Promise<number | undefined>;
  /** While `is` says that nothing happens, a pass is made only this often, or when triggered. Default: it never rests. */
  readonly idle?: { readonly everyMs: number; readonly is: () => boolean };
  /** Called for the first failure in a row only. */
  readonly onError: (error: Error) => void;
  /** Learns when a pass is due and how it ends. A pass that has reported a failure to it has not moved. */
  readonly progress?: Progress | undefined;
}

/** A task that runs at intervals and when triggered, never twice at once; after failures it continues with a backoff. */
export class PeriodicTask {
  private timer: NodeJS.Timeout | undefined;
  /** Set while work is gathered for the next pass. */
  private gathering: NodeJS.Timeout | undefined;
  private pass: Promise<void> | undefined;
  private again = false;
  /** true: it was not started, or was stopped since; a pass that is running ends soon. */
  stopped = true;
  /** Start of the last pass that did not fail, ms on the monotonic clock. */
  private passedAt = Number.NEGATIVE_INFINITY;
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  constructor(private readonly options: RecurringOptions) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.trigger();
  }

  /** Runs a pass now, or right after the one that is running. */
  trigger(): void {
    if (this.stopped) return;
    this.again = true;
    if (this.pass) return;
    clearTimeout(this.timer);
    this.pass = this.run();
  }

  /** Runs a pass `ms` after the first of these calls, for all of them. */
  triggerIn(ms: number): void {
    this.gathering ??= setTimeout(() => {
      this.gathering = undefined;
      this.trigger();
    }, ms);
  }

  /** Starts no further pass; resolves when the running one has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.pass;
  }

  /** Stops it, but after one more pass if one was triggered and has not begun, or if the last one failed. */
  async finish(): Promise<void> {
    await this.stop();
    const isDue = this.gathering !== undefined || this.again || this.backoff.attempts > 0;
    clearTimeout(this.gathering);
    this.gathering = undefined;
    if (isDue) await this.once();
  }

  private async run(): Promise<void> {
    let waitMs = 0;
    do {
      this.again = false;
      waitMs = await this.once();
    } while ((this.again || waitMs <= 0) && !this.stopped);
    this.pass = undefined;
    this.wait(waitMs);
  }

  private wait(ms: number): void {
    if (!this.stopped) this.timer = setTimeout(() => (this.isResting() ? this.wait(ms) : this.trigger()), ms);
  }

  private isResting(): boolean {
    const { everyMs, idle } = this.options;
    // Half an interval is subtracted, since a timer that fires a moment early would otherwise cost one pass.
    return idle !== undefined && performance.now() - this.passedAt < idle.everyMs - everyMs / 2 && idle.is();
  }

  private async once(): Promise<number> {
    const { everyMs, work, onError, progress } = this.options;
    progress?.begin();
    this.passedAt = performance.now();
    try {
      const wanted = await work();
      progress?.end();
      this.backoff.reset();
      return Math.min(everyMs, wanted ?? everyMs);
    } catch (thrown) {
      progress?.failed(toError(thrown));
      this.passedAt = Number.NEGATIVE_INFINITY;
      if (this.backoff.attempts === 0) onError(toError(thrown));
      return Math.min(everyMs, this.backoff.next());
    }
  }
}
