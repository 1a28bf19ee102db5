import type { LeftClass } from '../../cluster/tree-status';
import type { NotHereError } from '../definition/errors';

/**
 * A job that this app cannot run is left to others for so long since it could first run, ms; then it fails. A release
 * that was taken back, and whose jobs are still there, may be deployed anew within that time.
 */
const LEFT_FOR_MS = 21 * 24 * 3600 * 1000;
/** It waits for a share of its age before it is offered anew, and at least and at most this long, ms. */
const WAIT_SHARE = 0.1;
const MIN_WAIT_MS = 1000;
const MAX_WAIT_MS = 900_000;
/** Interval at which the log warns of the same jobs, ms. */
const WARN_INTERVAL_MS = 60_000;
/** Names that are remembered at most: anybody who can write to Redis can make some up. */
const MAX_NAMES = 100;

interface Known {
  reason: string;
  times: number;
  readonly since: number;
  warnedAt: number;
  /** Unless one is met again before then, others have them. On the monotonic clock, as the times above, ms. */
  until: number;
}

export interface Leave {
  /** Time until it is offered to all processors again, ms. */
  readonly waitMs: number;
  /** true: the log has told of such a job within the last minute. */
  readonly again: boolean;
}

/**
 * Decides about jobs that need something that this app does not have. While a release is deployed, its jobs meet
 * processors of the release before; they are offered again after a wait that grows with their age, until a processor has
 * what they need. That is no failure of theirs, so no attempt is counted.
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
   * @returns undefined for a job that nobody has taken for so long that it has failed.
   */
  decide(name: string, error: NotHereError, ageMs: number): Leave | undefined {
    if (ageMs > this.leftForMs) return undefined;
    const waitMs = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, ageMs * WAIT_SHARE)) * (0.75 + this.random() / 2);
    const at = this.now();
    this.forget(at);
    // The log tells of no more names either, since each would be new to it every time.
    if (!this.names.has(name) && this.names.size >= MAX_NAMES) return { waitMs, again: true };
    const known = this.names.get(name) ?? { reason: '', times: 0, since: at, warnedAt: -WARN_INTERVAL_MS, until: 0 };
    this.names.set(name, known);
    const again = at - known.warnedAt < WARN_INTERVAL_MS;
    known.reason = error.message;
    known.times++;
    if (!again) known.warnedAt = at;
    known.until = Math.max(known.until, at + 3 * waitMs + WARN_INTERVAL_MS);
    return { waitMs, again };
  }

  /** Jobs that have been met and are not known to be over. */
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
