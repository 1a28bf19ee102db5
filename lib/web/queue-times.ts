import { createHistogram } from 'node:perf_hooks';

/** How long requests waited for their slot, since the last time it was asked. */
export class QueueTimes {
  private readonly histogram = createHistogram();

  record(ms: number): void {
    // A histogram holds whole numbers from 1 on: microseconds, shifted by one.
    this.histogram.record(Math.max(1, Math.round(ms * 1000)));
  }

  /** The 99th percentile, ms, with a tenth; 0 without requests. Starts anew. */
  takeP99(): number {
    const p99 = this.histogram.count === 0 ? 0 : this.histogram.percentile(99) / 1000;
    this.histogram.reset();
    return Number(p99.toFixed(1));
  }
}
