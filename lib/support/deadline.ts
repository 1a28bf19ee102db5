/** How much of a deadline's remaining time one of several steps may take. */
export interface DeadlinePart {
  /** Maximum duration, ms. */
  readonly maxMs?: number;
  /** Maximum share of the remaining time, so that every step is reached even when little is left. */
  readonly share?: number;
  /** The step ends this much before the deadline, ms, to leave time for the steps after it. */
  readonly reserveMs?: number;
  /** Maximum share of the remaining time that is reserved. Default 1. */
  readonly reserveShare?: number;
  /** Minimum duration, ms, even past the deadline. */
  readonly minMs?: number;
}

/**
 * A moment in the future on the monotonic clock, passed down so that nested waits share it. Clocks of processes differ,
 * so send another process the value of `remaining()` and make a new deadline there.
 */
export class Deadline {
  private constructor(private readonly at: number) {}

  /** @param ms milliseconds from now; 0 or less is already expired. */
  static after(ms: number): Deadline {
    return new Deadline(performance.now() + ms);
  }

  /** Milliseconds left, never below 0. */
  remaining(): number {
    return Math.max(0, this.at - performance.now());
  }

  get expired(): boolean {
    return this.remaining() === 0;
  }

  /** @returns the deadline of a step that begins now. */
  part({
    maxMs = Number.POSITIVE_INFINITY,
    share = 1,
    reserveMs = 0,
    reserveShare = 1,
    minMs = 0,
  }: DeadlinePart): Deadline {
    const leftMs = this.remaining();
    const reservedMs = Math.min(reserveMs, leftMs * reserveShare);
    return Deadline.after(Math.max(Math.min(maxMs, leftMs * share, leftMs - reservedMs), minMs));
  }

  /**
   * Waits for `work`, but not past the deadline.
   * @returns `done` or `late`; rejects as `work` does when it fails in time.
   */
  async wait(work: Promise<unknown>): Promise<'done' | 'late'> {
    return (await unlessLate(work, this.remaining())) === LATE ? 'late' : 'done';
  }
}

const LATE: unique symbol = Symbol('late');

/**
 * @returns LATE when `work` has not settled after `ms`. A process that was blocked itself first reads what has arrived
 * meanwhile. So a reply that came in time does not count as late.
 */
async function unlessLate<T>(work: Promise<T>, ms: number): Promise<T | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  let afterReading: NodeJS.Immediate | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => {
      afterReading = setImmediate(resolve, LATE);
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    clearImmediate(afterReading);
  }
}

/**
 * Waits for `work`, but not longer than `ms`.
 * @throws (rejects) what `timeoutError` makes when `work` is late, and as `work` does when it fails in time.
 */
export async function withTimeout<T>(work: Promise<T>, ms: number, timeoutError: () => Error): Promise<T> {
  const value = await unlessLate(work, ms);
  if (value !== LATE) return value;
  work.catch(() => undefined);
  throw timeoutError();
}

/** Resolves with `fallback` when `work` fails, or takes longer than `ms`. */
export async function valueWithin<T, F>(work: Promise<T>, ms: number, fallback: F): Promise<T | F> {
  try {
    const value = await unlessLate(work, ms);
    return value === LATE ? fallback : value;
  } catch {
    return fallback;
  }
}
