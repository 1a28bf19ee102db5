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
  /** The wall clock minus the monotonic clock at the last check, ms. */
  private offsetMs: number | undefined;

  constructor(private readonly options: ClockWatchOptions) {}

  /** Starts, or restarts if it has been started already. */
  start(): void {
    this.stop();
    this.check();
    this.timer = setInterval(() => this.check(), this.options.everyMs ?? 5000);
    this.timer.unref();
  }

  /** Call before a decision that a jump would make wrong. */
  check(): void {
    const { onJump, wall = () => Date.now() } = this.options;
    const offsetMs = wall() - performance.now();
    const ms = offsetMs - (this.offsetMs ?? offsetMs);
    this.offsetMs = offsetMs;
    if (Math.abs(ms) >= JUMP_MS) onJump(Math.round(ms));
  }

  stop(): void {
    clearInterval(this.timer);
    this.offsetMs = undefined;
  }
}
