import { createHistogram } from 'node:perf_hooks';

/** How long requests waited for their slot, since the last time it was asked. */
export class QueueTimes {
  /** Of those that waited at all. */
  private readonly waits = createHistogram();
  /** Most are given a slot at once, and cost no more than this. */
  private atOnce = 0;

  record(ms: number): void {
    if (ms === 0) this.atOnce++;
    // A histogram holds whole numbers from 1 on: microseconds.
    else this.waits.record(Math.max(1, Math.round(ms * 1000)));
  }

  /** The 99th percentile, ms, with a tenth; 0 without requests. Starts anew. */
  takeP99(): number {
    const { waits, atOnce } = this;
    const rank = 0.99 * (atOnce + waits.count) - atOnce;
    const p99 = rank <= 0 ? 0 : waits.percentile((rank / waits.count) * 100) / 1000;
    waits.reset();
    this.atOnce = 0;
    return Number(p99.toFixed(1));
  }
}
