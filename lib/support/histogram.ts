/** Upper bounds of buckets of durations, ms. The last bucket has none. */
export const BOUNDS_MS: readonly number[] = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/** Counts by bucket: one for each bound, and one for the values above the last. */
export interface HistogramData {
  readonly counts: readonly number[];
  readonly sumMs: number;
  /** The greatest value, ms. Default: unknown. */
  readonly maxMs?: number;
}

/** Durations in buckets: a bucket holds those up to its bound and above the previous one, as in Prometheus. */
export class Histogram implements HistogramData {
  readonly counts: number[];
  sumMs = 0;
  maxMs = 0;

  /** @param bounds in ascending order. */
  constructor(readonly bounds: readonly number[] = BOUNDS_MS) {
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(ms: number): void {
    const bucket = findBucket(this.bounds, ms);
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sumMs += ms;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  /** @param other counted with the same bounds. */
  add({ counts, sumMs, maxMs = 0 }: HistogramData): void {
    for (const [bucket, count] of this.counts.entries()) this.counts[bucket] = count + (counts[bucket] ?? 0);
    this.sumMs += sumMs;
    this.maxMs = Math.max(this.maxMs, maxMs);
  }

  reset(): void {
    this.counts.fill(0);
    this.sumMs = this.maxMs = 0;
  }

  get count(): number {
    return total(this.counts);
  }

  /** The arithmetic mean, ms; null when there are no values. */
  get meanMs(): number | null {
    const { count } = this;
    return count === 0 ? null : this.sumMs / count;
  }

  quantile(q: number): number | null {
    return quantile(this.bounds, this.counts, q, this.maxMs);
  }
}

/** @returns the number of the bucket; an invalid duration is in the first one. */
export function findBucket(bounds: readonly number[], ms: number): number {
  let [low, high] = [0, bounds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ms > (bounds[middle] ?? Number.POSITIVE_INFINITY)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Estimates a quantile, ms, by linear interpolation within its bucket, and never above the greatest value; null when
 * there are no values. The last bucket is taken to end at twice its bound.
 * @param q 0 to 1: 0.99 for the 99th percentile.
 * @param greatest the greatest value, ms; ignored when it is below the quantile's bucket. Default: unknown.
 */
export function quantile(
  bounds: readonly number[],
  counts: readonly number[],
  q: number,
  greatest = Number.POSITIVE_INFINITY,
): number | null {
  const all = total(counts);
  const rank = Math.max(1, Math.ceil(q * all));
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= rank) {
      const from = bounds[bucket - 1] ?? 0;
      const end = bounds[bucket] ?? 2 * from;
      const to = greatest >= from ? Math.min(end, greatest) : end;
      return rank === all && to === greatest ? greatest : from + ((rank - below - 0.5) / count) * (to - from);
    }
    below += count;
  }
  return null;
}

/** The counts between two samples. */
export function countsSince(now: readonly number[], before: readonly number[]): number[] {
  return now.map((count, bucket) => count - (before[bucket] ?? 0));
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Samples of counters in the recent past, which rates are computed from. */
export class RateWindow<T> {
  private samples: { readonly at: number; readonly value: T }[] = [];

  constructor(private readonly keptMs: number) {}

  add(at: number, value: T): void {
    this.samples = [...this.within(at, this.keptMs), { at, value }];
  }

  /** The samples of the last `ms` before `at`, the oldest first. */
  within(at: number, ms: number): readonly { readonly at: number; readonly value: T }[] {
    return this.samples.filter((sample) => sample.at >= at - ms);
  }
}
