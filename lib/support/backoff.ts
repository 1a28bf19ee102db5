interface BackoffOptions {
  /** First wait, ms. */
  readonly base: number;
  /** Longest wait, ms. */
  readonly max: number;
}

/** Exponential backoff: waits of `base * 2^n` ms, at most `max`; `reset()` starts again. */
export class Backoff {
  private step = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** Number of waits since the last reset. */
  get attempts(): number {
    return this.step;
  }

  next(): number {
    const { base, max } = this.options;
    return Math.min(max, base * 2 ** this.step++);
  }

  reset(): void {
    this.step = 0;
  }
}
