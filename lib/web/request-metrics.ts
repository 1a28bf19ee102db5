import { createHistogram } from 'node:perf_hooks';
import type { EventMap } from '../core/events';
import type { RequestCounts, Slowest } from '../core/request-counts';
import { BOUNDS_MS } from '../support/histogram';

/** Other methods are counted as `other`, since callers may send any word. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const OTHER = METHODS.length;
/** 1xx to 5xx, and `other` for the rest. */
const CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** Counts the app's requests in this process. A request costs a few increments. */
export class RequestMetrics {
  private readonly answered = new Float64Array((METHODS.length + 1) * CLASSES.length);
  private readonly shed = { full: 0, timeout: 0, stale: 0 };
  private readonly duration = new BucketTally();
  private readonly queued = new BucketTally();

  add({ method, status, durationMs, queuedMs, shedReason }: EventMap['request.finished']): void {
    const known = METHODS.indexOf(method);
    const statusClass = status >= 100 && status < 600 ? Math.trunc(status / 100) : 0;
    const index = (known === -1 ? OTHER : known) * CLASSES.length + statusClass;
    this.answered[index] = (this.answered[index] ?? 0) + 1;
    if (shedReason !== null) this.shed[shedReason]++;
    this.duration.add(durationMs);
    this.queued.add(queuedMs);
  }

  read(): RequestCounts {
    const answered: Record<string, number> = {};
    this.answered.forEach((count, index) => {
      if (count === 0) return;
      const method = METHODS[Math.trunc(index / CLASSES.length)] ?? 'other';
      answered[`${method} ${CLASSES[index % CLASSES.length]}`] = count;
    });
    return { answered, shed: { ...this.shed }, duration: this.duration.read(), queued: this.queued.read() };
  }

  /** The maxima since the last call. */
  takeSlowest(): Slowest {
    return { durationMs: this.duration.takeMax(), queuedMs: this.queued.takeMax() };
  }
}

class BucketTally {
  private maxMs = 0;
  private readonly counts = new Float64Array(BOUNDS_MS.length + 1);
  private sumMs = 0;

  add(ms: number): void {
    let bucket = 0;
    while (ms > (BOUNDS_MS[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sumMs += ms;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  takeMax(): number {
    const { maxMs } = this;
    this.maxMs = 0;
    return Number(maxMs.toFixed(3));
  }

  read(): { counts: number[]; sumMs: number } {
    return { counts: [...this.counts], sumMs: Number(this.sumMs.toFixed(3)) };
  }
}

/** The time that requests waited for their slot, since the last call of `takeP99`. */
export class QueueTimeMetrics {
  /** Waits of the requests that waited at all. */
  private readonly waits = createHistogram();
  /** Requests that got a slot at once: most do, and then cost only this increment. */
  private atOnce = 0;

  record(ms: number): void {
    if (ms === 0) this.atOnce++;
    // A histogram holds whole numbers from 1 on, so it counts microseconds.
    else this.waits.record(Math.max(1, Math.round(ms * 1000)));
  }

  /** The 99th percentile, ms, with one decimal; 0 without requests. Resets the histogram. */
  takeP99(): number {
    const { waits, atOnce } = this;
    const rank = 0.99 * (atOnce + waits.count) - atOnce;
    const p99 = rank <= 0 ? 0 : waits.percentile((rank / waits.count) * 100) / 1000;
    waits.reset();
    this.atOnce = 0;
    return Number(p99.toFixed(1));
  }
}
