import { createHistogram } from 'node:perf_hooks';
import type { EventMap } from '../core/events';
import type { RequestCounts, Slowest } from '../core/request-counts';
import { BOUNDS_MS } from '../support/histogram';

/** Any other word is counted as `other`: callers may send what they like. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const OTHER = METHODS.length;
/** 1xx to 5xx, and what is none of them. */
const CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** Counts the app's requests in this process. A request costs a few increments. */
export class RequestTally {
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

  /** Of those that ended since the last time it was asked. */
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
