import { BOUNDS_MS } from '../../core/request-counts';
import { percentileOf } from '../../support/histogram';

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
