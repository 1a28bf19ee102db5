import type { EventMap } from '../core/events';
import { withoutPasswords } from '../core/redact';
import {
  type Rejected,
  type RequestCounts,
  type RequestFailure,
  routeOf,
  type Slowest,
  sumByKey,
} from '../core/request-counts';
import { BOUNDS_MS, Histogram, type HistogramData } from '../support/histogram';

/** Other methods are counted as `other`, since clients may send any word. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const OTHER = METHODS.length;
const CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** Maximum length of an error's text, characters. */
const MAX_ERROR = 200;

/** Statuses by which an app rejects values. What crawlers and people without rights meet is left out. */
const REJECTIONS = [400, 413, 415, 422];
/** Rejections are counted in two halves of a minute, of at most so many routes each. */
const HALF_MS = 30_000;
const MAX_ROUTES = 50;

/** Counts the app's requests in this process, at the cost of a few increments each. */
export class RequestMetrics {
  private readonly answered = new Float64Array((METHODS.length + 1) * CLASSES.length);
  private readonly shed = { full: 0, timeout: 0 };
  private error: (Omit<RequestFailure, 'ageMs'> & { readonly at: number }) | undefined;
  /** Rejected requests by status and route, in this half of a minute and in the one before. */
  private rejections: readonly [Map<string, number>, Map<string, number>] = [new Map(), new Map()];
  private halfBegan: number;
  private readonly duration = new Histogram();
  private readonly queued = new Histogram();
  /** Waits for a slot since the last report. Most are 0, and have a bucket of their own. */
  private readonly waits = new Histogram([0, ...BOUNDS_MS]);

  /** @param now monotonic, ms. Default `performance.now`. */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.halfBegan = now();
  }

  add({ method, path, status, durationMs, queuedMs, shedReason }: EventMap['request.finished']): void {
    if (REJECTIONS.includes(status)) this.addRejection(`${status} ${routeOf(`${method} ${path}`)}`);
    const methodIndex = METHODS.indexOf(method);
    const statusClass = status >= 100 && status < 600 ? Math.trunc(status / 100) : 0;
    const index = (methodIndex === -1 ? OTHER : methodIndex) * CLASSES.length + statusClass;
    this.answered[index] = (this.answered[index] ?? 0) + 1;
    if (shedReason !== null) this.shed[shedReason]++;
    this.duration.observe(durationMs);
    this.queued.observe(queuedMs);
    this.waits.observe(queuedMs);
  }

  private addRejection(what: string): void {
    const [now] = this.halves();
    if (now.has(what) || now.size < MAX_ROUTES) now.set(what, (now.get(what) ?? 0) + 1);
  }

  private halves(): RequestMetrics['rejections'] {
    const halves = Math.floor((this.now() - this.halfBegan) / HALF_MS);
    if (halves === 0) return this.rejections;
    this.halfBegan = this.now();
    this.rejections = [new Map(), halves === 1 ? this.rejections[0] : new Map()];
    return this.rejections;
  }

  mostRejected(): Rejected | null {
    const [now, before] = this.halves();
    const [most] = Object.entries(sumByKey([now, before].map((half) => Object.fromEntries(half)))).sort(
      ([, a], [, b]) => b - a,
    );
    if (!most) return null;
    const [what, count] = most;
    return { status: Number(what.slice(0, 3)), route: what.slice(4).slice(0, MAX_ERROR), count };
  }

  addError({ error: { name, message }, method, path, requestId: id }: EventMap['request.error']): void {
    const [line = ''] = withoutPasswords(`${name}: ${message}`).slice(0, MAX_ERROR).split('\n', 1);
    this.error = { what: `${method} ${path}`.slice(0, MAX_ERROR), error: line, id, at: performance.now() };
  }

  lastError(): RequestFailure | null {
    if (!this.error) return null;
    const { at, ...error } = this.error;
    return { ...error, ageMs: Math.round(performance.now() - at) };
  }

  read(): RequestCounts {
    const answered: Record<string, number> = {};
    this.answered.forEach((count, index) => {
      if (count === 0) return;
      const method = METHODS[Math.trunc(index / CLASSES.length)] ?? 'other';
      answered[`${method} ${CLASSES[index % CLASSES.length]}`] = count;
    });
    return { answered, shed: { ...this.shed }, duration: toData(this.duration), queued: toData(this.queued) };
  }

  /** @returns the 99th percentile of the waits for a slot since the last call, ms; 0 without requests. */
  takeQueueTimeP99(): number {
    const p99 = this.waits.quantile(0.99) ?? 0;
    this.waits.reset();
    return Number(p99.toFixed(1));
  }

  /** @returns the maxima since the last call. */
  takeSlowest(): Slowest {
    return { durationMs: takeMax(this.duration), queuedMs: takeMax(this.queued) };
  }
}

function toData({ counts, sumMs }: Histogram): HistogramData {
  return { counts: [...counts], sumMs: rounded(sumMs) };
}

function takeMax(histogram: Histogram): number {
  const { maxMs } = histogram;
  histogram.maxMs = 0;
  return rounded(maxMs);
}

function rounded(ms: number): number {
  return Number(ms.toFixed(3));
}
