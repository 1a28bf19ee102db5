import type { Delivery } from '../row/job-row';

/** Jobs are claimed ahead of free slots as long as they are expected to start within this time, ms. */
const AHEAD_MS = 5;
/** A job that was claimed ahead for this long without a start is returned, ms: a run has turned out to be long. */
export const MAX_AHEAD_MS = 20;
/** The share of the latest run in the mean duration of runs. */
const LATEST_SHARE = 0.1;

/**
 * Jobs that were claimed before a slot was free for them. While runs take milliseconds, one statement claims the next jobs,
 * too, because a round trip for each would slow them down. A job that cannot start in time goes back, since another process may
 * be free.
 */
export class ClaimedAhead {
  private readonly jobs: { readonly delivery: Delivery; readonly claimedAt: number }[] = [];
  /** Mean duration of the latest runs, ms. */
  private meanMs = Number.POSITIVE_INFINITY;
  private timer: NodeJS.Timeout | undefined;

  /** @param onLate called with jobs that have not started in time. */
  constructor(private readonly onLate: (deliveries: readonly Delivery[]) => void) {}

  get size(): number {
    return this.jobs.length;
  }

  get ids(): string[] {
    return this.jobs.map(({ delivery }) => delivery.id);
  }

  /**
   * @param slots the slots that are free or run short jobs.
   * @returns how many more jobs to claim: none while more than half of them are left, so that claims are few.
   */
  room(slots: number): number {
    const most = Math.floor((slots * AHEAD_MS) / this.meanMs);
    return this.size <= most / 2 ? most - this.size : 0;
  }

  ran(ms: number): void {
    this.meanMs = Number.isFinite(this.meanMs) ? this.meanMs + LATEST_SHARE * (ms - this.meanMs) : ms;
  }

  push(delivery: Delivery): void {
    this.jobs.push({ delivery, claimedAt: performance.now() });
    this.timer ??= setTimeout(() => this.check(), MAX_AHEAD_MS);
  }

  /** @returns the next job, for a slot that is free. */
  shift(): Delivery | undefined {
    return this.jobs.shift()?.delivery;
  }

  /** @returns all of them, which are not to start here. */
  clear(): Delivery[] {
    return this.jobs.splice(0).map(({ delivery }) => delivery);
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private check(): void {
    this.timer = undefined;
    const before = performance.now() - MAX_AHEAD_MS;
    const late = this.jobs.findIndex(({ claimedAt }) => claimedAt > before);
    const deliveries = this.jobs.splice(0, late < 0 ? this.jobs.length : late).map(({ delivery }) => delivery);
    if (deliveries.length > 0) this.onLate(deliveries);
    if (this.jobs.length > 0) this.timer ??= setTimeout(() => this.check(), MAX_AHEAD_MS);
  }
}
