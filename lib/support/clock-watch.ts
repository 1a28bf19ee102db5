interface ClockWatchOptions {
  /** Called with how far the wall clock has moved, ms; negative: it was set back. */
  readonly onJump: (ms: number) => void;
  /** The wall clock, ms. Default: `Date.now`. */
  readonly wall?: (() => number) | undefined;
  /** Interval of the checks, ms. Default 5,000. */
  readonly everyMs?: number | undefined;
}

/** Adjustments by NTP are far smaller, ms. */
const JUMP_MS = 1000;

/**
 * Notices that the wall clock was set, or that the machine has slept: timers use the monotonic clock, which does not
 * change with the one and stops during the other, so what they wait for may already be due.
 */
export class ClockWatch {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: ClockWatchOptions) {}

  /** Starts, or restarts if it has been started already. */
  start(): void {
    this.stop();
    const { onJump, wall = () => Date.now(), everyMs = 5000 } = this.options;
    const offset = () => wall() - performance.now();
    let known = offset();
    this.timer = setInterval(() => {
      const ms = offset() - known;
      known += ms;
      if (Math.abs(ms) >= JUMP_MS) onJump(Math.round(ms));
    }, everyMs);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
