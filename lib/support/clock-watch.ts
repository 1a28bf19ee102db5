interface ClockWatchOptions {
  /** Called with how far the wall clock has moved, ms; negative: it was set back. */
  readonly onJump: (ms: number) => void;
  /** Called when this process has stood still for a whole interval: it was paused, or something has blocked it. */
  readonly onStandstill: () => void;
  /** The wall clock, ms. Default: `Date.now`. */
  readonly wall?: (() => number) | undefined;
  /** Interval of the checks, ms. Default 5,000. */
  readonly everyMs?: number | undefined;
}

/** Adjustments by NTP are far smaller, ms. */
const JUMP_MS = 1000;
const CHECK_MS = 5000;

/**
 * Notices that the wall clock was set, that the machine slept, or that this process stood still (its container was
 * paused). Timers run on the monotonic clock, which ignores the first and stops during the second: what they wait for
 * may already be due.
 */
export class ClockWatch {
  private timer: NodeJS.Timeout | undefined;
  /** The wall clock minus the monotonic clock at the last check, ms. */
  private offsetMs: number | undefined;
  /** Time of the last check, ms on the monotonic clock. */
  private checkedAt: number | undefined;

  constructor(private readonly options: ClockWatchOptions) {}

  private get everyMs(): number {
    return this.options.everyMs ?? CHECK_MS;
  }

  /** Starts, or restarts if it has been started already. */
  start(): void {
    this.stop();
    this.check();
    this.timer = setInterval(() => this.check(), this.everyMs);
    this.timer.unref();
  }

  /** Call before a decision that a jump or a standstill would make wrong. */
  check(): void {
    const { onJump, onStandstill, wall = () => Date.now() } = this.options;
    const now = performance.now();
    const offsetMs = wall() - now;
    const jumpMs = offsetMs - (this.offsetMs ?? offsetMs);
    const lateMs = now - (this.checkedAt ?? now) - this.everyMs;
    this.offsetMs = offsetMs;
    this.checkedAt = now;
    if (Math.abs(jumpMs) >= JUMP_MS) onJump(Math.round(jumpMs));
    if (lateMs > this.everyMs) onStandstill();
  }

  stop(): void {
    clearInterval(this.timer);
    this.offsetMs = undefined;
    this.checkedAt = undefined;
  }
}
