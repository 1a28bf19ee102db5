import { withTimeout } from './deadline';

/** Outcome of the last read: the value, or the error and the time since which reads have failed. */
export type ProbeResult<T> =
  | { readonly ok: true; readonly value: T; readonly tookMs: number }
  | { readonly ok: false; readonly error: Error; readonly since: Date };

export interface ProbeOptions {
  /** A value younger than this is reused, ms. */
  readonly freshMs: number;
  /** A read that takes longer fails, ms. Default 1500. */
  readonly limitMs?: number;
}

/** A failed read is repeated after this, ms, unless the probe refreshes sooner anyway. */
const AGAIN_MS = 1900;

/** A value shared by many readers and read at most once per `freshMs`. `get` never rejects. */
export class CachedProbe<T> {
  private reading: Promise<ProbeResult<T>> | undefined;
  private pending = false;
  /** Reads without an answer, also after their limit: if others were begun, all connections of a pool would soon wait. */
  private unanswered = 0;
  private readAt = 0;
  private failingSince: Date | undefined;

  constructor(
    private readonly read: () => Promise<T>,
    private readonly options: ProbeOptions,
  ) {}

  get(): Promise<ProbeResult<T>> {
    const now = performance.now();
    const { freshMs } = this.options;
    const goodFor = this.failingSince ? Math.min(freshMs, AGAIN_MS) : freshMs;
    // Callers share a read that is under way: its value will be fresh enough for all of them.
    if (!this.reading || (this.unanswered === 0 && now - this.readAt > goodFor)) return this.startRead();
    return this.reading;
  }

  /** A value that was read after this call, however young the last one is. */
  async refresh(): Promise<ProbeResult<T>> {
    if (this.pending) await this.reading;
    // The first of several callers that waited for the same read has begun another by now, which serves all of them.
    return this.pending && this.reading ? this.reading : this.startRead();
  }

  private startRead(): Promise<ProbeResult<T>> {
    this.readAt = performance.now();
    this.pending = true;
    this.reading = this.readOnce();
    return this.reading;
  }

  private async readOnce(): Promise<ProbeResult<T>> {
    const begun = performance.now();
    try {
      const value = await this.withinLimit();
      this.failingSince = undefined;
      return { ok: true, value, tookMs: performance.now() - begun };
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      this.failingSince ??= new Date();
      return { ok: false, error, since: this.failingSince };
    } finally {
      this.pending = false;
    }
  }

  private withinLimit(): Promise<T> {
    const { limitMs = 1500 } = this.options;
    const answer = this.read();
    this.unanswered++;
    const settled = answer.finally(() => this.unanswered--);
    return withTimeout(settled, limitMs, () => new Error(`no answer within ${limitMs} ms`));
  }
}
