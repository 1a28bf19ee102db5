import type { LeftClass } from '../../cluster/tree-status';
import type { NotHereError } from '../definition/errors';

/**
 * A job that this app cannot run is left to others for this long after it became due, ms. Then it fails. A release that was
 * rolled back, and whose jobs still wait, may be deployed again within that time.
 */
const LEFT_FOR_MS = 21 * 24 * 3600 * 1000;
/** Share of its age for which such a job waits before it is offered again, and the bounds of that wait, ms. */
const WAIT_SHARE = 0.1;
const MIN_WAIT_MS = 1000;
const MAX_WAIT_MS = 900_000;
/** Interval at which the log warns of the same jobs, ms. */
const WARN_INTERVAL_MS = 60_000;
/** Maximum number of names to remember: anybody who can write to Redis can make some up. */
const MAX_NAMES = 100;

interface Known {
  reason: string;
  times: number;
  readonly since: number;
  warnedAt: number;
  /** Forgotten then, unless such a job is met again: others have run them. Monotonic clock, as the times above, ms. */
  until: number;
}

export interface LeftFor {
  /** Time until it is offered to all processors again, ms. */
  readonly waitMs: number;
  /** true: such a job was logged within the last minute. */
  readonly wasLogged: boolean;
}

/**
 * Decides about jobs that need something that this app does not have. While a release is deployed, its jobs meet processors of
 * the previous one. Such a job is offered again after a wait that grows with its age, until a processor has what it needs. That
 * is not a failure, so no attempt is counted.
 */
export class JobsLeft {
  private readonly names = new Map<string, Known>();

  constructor(
    private readonly random: () => number = Math.random,
    private readonly now: () => number = () => performance.now(),
    private readonly leftForMs = LEFT_FOR_MS,
  ) {}

  /**
   * @param ageMs time since the job could run.
   * @returns undefined for a job that has found no processor for so long that it fails.
   */
  decide(name: string, error: NotHereError, ageMs: number): LeftFor | undefined {
    if (ageMs > this.leftForMs) return undefined;
    const waitMs = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, ageMs * WAIT_SHARE * (0.75 + this.random() / 2)));
    const at = this.now();
    this.forget(at);
    // Further names are not logged either, since each would count as new every time.
    if (!this.names.has(name) && this.names.size >= MAX_NAMES) return { waitMs, wasLogged: true };
    const known = this.names.get(name) ?? { reason: '', times: 0, since: at, warnedAt: -WARN_INTERVAL_MS, until: 0 };
    this.names.set(name, known);
    const wasLogged = at - known.warnedAt < WARN_INTERVAL_MS;
    known.reason = error.message;
    known.times++;
    if (!wasLogged) known.warnedAt = at;
    known.until = Math.max(known.until, at + 3 * waitMs + WARN_INTERVAL_MS);
    return { waitMs, wasLogged };
  }

  /** Classes whose jobs were met and, as far as is known, still wait for another processor. */
  list(): LeftClass[] {
    const at = this.now();
    this.forget(at);
    return [...this.names].map(([name, { reason, times, since }]) => {
      return { class: name, reason, times, spanMs: Math.round(at - since) };
    });
  }

  private forget(at: number): void {
    for (const [name, { until }] of this.names) if (until < at) this.names.delete(name);
  }
}
