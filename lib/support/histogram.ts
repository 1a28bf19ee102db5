/** Upper bounds of the buckets of lengths of time, ms. The last bucket has none. */
export const BOUNDS_MS: readonly number[] = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/** Each bucket is this much wider than the one before it: what is read from one is off by a fifth or so. */
const GROWTH = 1.5;
/** The last one begins at some two days. */
export const BUCKETS = 48;
const LOG_GROWTH = Math.log(GROWTH);

/** By bucket. */
export type SparseCounts = Readonly<Record<string, number>>;

/** Lengths of time by their order of magnitude, so that many can be summed up and their percentiles still be told. */
export class Histogram {
  /** Bucket 0 holds what is below 1.5 ms, bucket n what is from 1.5^n ms up. */
  readonly counts: number[] = new Array<number>(BUCKETS).fill(0);
  sumMs = 0;
  /** The greatest. */
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

  /** Starts anew. */
  reset(): void {
    this.counts.fill(0);
    this.sumMs = 0;
    this.maxMs = 0;
  }

  /** The counts of the buckets that hold any: short, to be sent and kept. */
  toSparse(): SparseCounts {
    return Object.fromEntries([...this.counts.entries()].filter(([, count]) => count > 0));
  }

  /** Adds what such a one tells; what is no bucket of ours is passed over. */
  addSparse(counts: SparseCounts): void {
    for (const [bucket, count] of Object.entries(counts)) {
      const known = this.counts[Number(bucket)];
      if (known !== undefined && count > 0) this.counts[Number(bucket)] = known + count;
    }
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** ms; null of nothing. */
  get meanMs(): number | null {
    const { count } = this;
    return count === 0 ? null : this.sumMs / count;
  }

  /**
   * What a share of them does not exceed, ms, to within their bucket, and never above the greatest; null of nothing.
   * @param share 0 to 1: 0.99 for the 99th percentile.
   */
  percentile(share: number): number | null {
    return percentileOf(this.counts, lowerBound, share, this.maxMs);
  }
}

/** @returns its number; what is no length of time counts as none. */
export function bucketOf(ms: number): number {
  // Most are small and whole, and every job asks twice.
  return SMALL[ms] ?? computeBucket(ms);
}

function computeBucket(ms: number): number {
  if (!(ms >= GROWTH)) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log(ms) / LOG_GROWTH));
}

/** The buckets of 0 to 1023 ms. */
const SMALL = Uint8Array.from({ length: 1024 }, (_, ms) => computeBucket(ms));

/** Where a bucket begins, ms. */
export function lowerBound(bucket: number): number {
  return bucket === 0 ? 0 : GROWTH ** bucket;
}

/**
 * What a share of some values does not exceed, to within their bucket; null of nothing. The greatest of them is known as it
 * is, so that no percentile is above it.
 * @param counts by bucket. @param lowerBound where a bucket begins. @param share 0 to 1.
 * @param greatest of the values; one that cannot be, since its bucket is empty, is passed over.
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

/** Where the last bucket, which has no bound, is taken to end: as much beyond the last bound as that is, ms. */
const BEYOND_MS = 2 * (BOUNDS_MS.at(-1) ?? 0);

/**
 * What a share of the times does not exceed, ms, to within their bucket, and never above the slowest; null of none.
 * @param counts by the buckets of `RequestCounts`. @param share 0 to 1. @param slowestMs undefined: nobody has told.
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
