export interface BackoffOptions {
  /** First wait, ms. */
  readonly base: number;
  /** Longest wait, ms. */
  readonly max: number;
  /** Growth per step. Default 2. */
  readonly factor?: number;
}

/** Exponential waits: `base * factor^n`, capped at `max`; `reset()` starts again. */
export class Backoff {
  private step = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** How many waits were handed out since the last reset. */
  get attempts(): number {
    return this.step;
  }

  /** The next wait in ms. */
  next(): number {
    const { base, max, factor = 2 } = this.options;
    return Math.min(max, base * factor ** this.step++);
  }

  reset(): void {
    this.step = 0;
  }
}
