/** Upper bounds of buckets of durations, ms. The last bucket has none. */
export const BOUNDS_MS: readonly number[] = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/** Ratio of the bounds of successive buckets; a value read from a bucket is off by about a fifth. */
const GROWTH = 1.5;
/** Number of buckets; the last one begins at some two days. */
export const BUCKETS = 48;
const LOG_GROWTH = Math.log(GROWTH);

/** Counts by bucket, without empty buckets. */
export type SparseCounts = Readonly<Record<string, number>>;

/** Durations in exponential buckets, so that histograms can be merged and percentiles still be estimated. */
export class Histogram {
  /** Bucket 0 holds values below 1.5 ms, bucket n values from 1.5^n to below 1.5^(n+1) ms. */
  readonly counts: number[] = new Array<number>(BUCKETS).fill(0);
  sumMs = 0;
  /** The greatest value, ms. */
  maxMs = 0;

  add(ms: number): void {
    const bucket = bucketOf(ms);
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sumMs += ms;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  merge(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++) this.counts[i] = (this.counts[i] ?? 0) + (other.counts[i] ?? 0);
    this.sumMs += other.sumMs;
    this.maxMs = Math.max(this.maxMs, other.maxMs);
  }

  reset(): void {
    this.counts.fill(0);
    this.sumMs = 0;
    this.maxMs = 0;
  }

  /** @returns the counts without empty buckets, which is short to send and to store. */
  toSparse(): SparseCounts {
    return Object.fromEntries([...this.counts.entries()].filter(([, count]) => count > 0));
  }

  /** Adds such counts; unknown buckets are ignored. */
  addSparse(counts: SparseCounts): void {
    for (const [bucket, count] of Object.entries(counts)) {
      const known = this.counts[Number(bucket)];
      if (known !== undefined && count > 0) this.counts[Number(bucket)] = known + count;
    }
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The arithmetic mean, ms; null when there are no values. */
  get meanMs(): number | null {
    const { count } = this;
    return count === 0 ? null : this.sumMs / count;
  }

  /**
   * Estimates a percentile, ms, to within its bucket and never above the greatest value; null when there are no values.
   * @param share 0 to 1: 0.99 for the 99th percentile.
   */
  percentile(share: number): number | null {
    return percentileOf(this.counts, lowerBound, share, this.maxMs);
  }
}

/** @returns the number of the bucket; an invalid duration counts as 0 ms. */
export function bucketOf(ms: number): number {
  // Most values are small and whole, and every job asks twice, so these are looked up.
  return SMALL[ms] ?? computeBucket(ms);
}

function computeBucket(ms: number): number {
  if (!(ms >= GROWTH)) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log(ms) / LOG_GROWTH));
}

/** The buckets of the whole values from 0 to 1023 ms. */
const SMALL = Uint8Array.from({ length: 1024 }, (_, ms) => computeBucket(ms));

/** @returns the lower bound of a bucket, ms. */
export function lowerBound(bucket: number): number {
  return bucket === 0 ? 0 : GROWTH ** bucket;
}

/**
 * Estimates a percentile by linear interpolation within its bucket; null when there are no values. The greatest value
 * is known exactly, so no percentile is above it.
 * @param counts by bucket. @param lowerBound of a bucket. @param share 0 to 1.
 * @param greatest the greatest value; it is ignored when it is below the percentile's bucket.
 */
export function percentileOf(
  counts: readonly number[],
  lowerBound: (bucket: number) => number,
  share: number,
  greatest: number,
): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const rank = Math.max(1, Math.ceil(share * total));
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= rank) {
      const from = lowerBound(bucket);
      const end = lowerBound(bucket + 1);
      const to = greatest >= from ? Math.min(end, greatest) : end;
      return rank === total && to === greatest ? greatest : from + ((rank - below - 0.5) / count) * (to - from);
    }
    below += count;
  }
  return null;
}

/** Assumed end of the last bucket, which has no bound, ms: twice the last bound. */
const BEYOND_MS = 2 * (BOUNDS_MS.at(-1) ?? 0);

/**
 * Estimates a percentile, ms, to within its bucket and never above the slowest; null when there are no values.
 * @param counts by the buckets of BOUNDS_MS. @param share 0 to 1.
 * @param slowestMs the greatest value, ms. Default: unknown.
 */
export function percentile(
  counts: readonly number[],
  share: number,
  slowestMs = Number.POSITIVE_INFINITY,
): number | null {
  return percentileOf(counts, beginOf, share, slowestMs);
}

function beginOf(bucket: number): number {
  return bucket === 0 ? 0 : (BOUNDS_MS[bucket - 1] ?? BEYOND_MS);
}
