import { BOUNDS_MS } from '../../core/request-counts';

/** Where the last bucket, which has no bound, is taken to end: as much beyond the last bound as that is, ms. */
const BEYOND_MS = 2 * (BOUNDS_MS.at(-1) ?? 0);

/**
 * What a share of the times does not exceed, ms, to within their bucket; null of none.
 * @param counts by the buckets of `RequestCounts`. @param share 0 to 1.
 */
export function percentile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = Math.max(1, Math.ceil(share * total));
  let below = 0;
  for (const [i, count] of counts.entries()) {
    if (count > 0 && below + count >= rank) {
      const from = BOUNDS_MS[i - 1] ?? 0;
      const to = BOUNDS_MS[i] ?? BEYOND_MS;
      return from + ((rank - below - 0.5) / count) * (to - from);
    }
    below += count;
  }
  return null;
}
