import type { EventEmitter } from 'node:events';
import { deferred } from './deferred';

/** The state of work that must make progress while there is something to do. */
export interface ProgressReading {
  /** Time since it last succeeded, ms; null: it never has. */
  readonly movedMs: number | null;
  /** Time for which something has been due without success, ms; 0: nothing is due. */
  readonly owedMs: number;
  /** The last failure since it became due; undefined: there was none, so an answer is still awaited. */
  readonly error: Error | undefined;
}

interface ProgressOptions {
  /** Time after the last sign of anything to do after which nothing is due any more, ms. Default: never. */
  readonly forgetMs?: number;
}

/** Measures whether work makes progress, from what its process knows: no server is queried for it. */
export class Progress {
  private movedAt: number | undefined;
  private owedSince: number | undefined;
  private error: Error | undefined;
  private hasFailed = false;

  private touchedAt = 0;
  private readonly forgetMs: number;

  constructor({ forgetMs = Number.POSITIVE_INFINITY }: ProgressOptions = {}) {
    this.forgetMs = forgetMs;
  }

  /** Call when there is something to do, also repeatedly: the first call counts. */
  due(): void {
    this.touchedAt = performance.now();
    this.owedSince ??= this.touchedAt;
  }

  /** Call when it has succeeded, even in part, and when there is nothing to do. */
  moved(): void {
    this.movedAt = performance.now();
    this.owedSince = undefined;
    this.error = undefined;
  }

  /** Call when there turns out to be nothing to do; it clears no failure. */
  confirmedIdle(): void {
    if (this.owedSince === undefined) this.movedAt = performance.now();
  }

  /** Call when it has failed, or cannot be done for now. */
  failed(error: Error): void {
    this.due();
    this.error = error;
    this.hasFailed = true;
  }

  /** Call at the beginning of a pass that may call `failed`. */
  begin(): void {
    this.due();
    this.hasFailed = false;
  }

  /** Call at the end of such a pass: it has moved unless it has failed. */
  end(): void {
    if (!this.hasFailed) this.moved();
  }

  read(): ProgressReading {
    const { movedAt, error } = this;
    const owedSince = performance.now() - this.touchedAt > this.forgetMs ? undefined : this.owedSince;
    const since = (time: number) => Math.max(0, performance.now() - time);
    return {
      movedMs: movedAt === undefined ? null : since(movedAt),
      owedMs: owedSince === undefined ? 0 : since(owedSince),
      error,
    };
  }
}

/**
 * Watches the replies of one server that may be frozen, or whose connection may have ended without notice. The server is silent
 * when it has sent no reply for `patienceMs` although one is due.
 */
export class SilenceWatch {
  private pending = 0;
  private answeredAt = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly patienceMs: number,
    private readonly onSilent: (error: Error) => void,
  ) {}

  asked(): void {
    if (this.pending++ === 0) this.answeredAt = performance.now();
    this.timer ??= this.checkIn(this.patienceMs);
  }

  readonly answered = (): void => {
    this.pending--;
    this.answeredAt = performance.now();
  };

  readonly expect = (answer: Promise<unknown>): void => {
    this.asked();
    answer.then(this.answered, this.answered);
  };

  /**
   * Expects a greeting for each connection of this client, too: after `connect` it emits `ready`, `end` or `reconnecting`.
   * An `error` alone ends nothing: the client may go on trying.
   */
  expectGreeting(client: EventEmitter): void {
    let greeting = deferred();
    for (const event of ['ready', 'end', 'reconnecting']) client.on(event, () => greeting.resolve());
    client.on('connect', () => {
      greeting.resolve();
      greeting = deferred();
      // Earlier requests wait for the greeting, too.
      this.answeredAt = performance.now();
      this.expect(greeting.promise);
    });
  }

  private checkIn(ms: number): NodeJS.Timeout {
    // Messages that arrived while the event loop was blocked are read first.
    return setTimeout(() => setImmediate(() => this.check()), ms).unref();
  }

  private check(): void {
    this.timer = undefined;
    if (this.pending === 0) return;
    const left = this.answeredAt + this.patienceMs - performance.now();
    if (left > 0) this.timer = this.checkIn(left);
    else this.onSilent(new Error(`no answer for ${this.patienceMs / 1000} s`));
  }
}
