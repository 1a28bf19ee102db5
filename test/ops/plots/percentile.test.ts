import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BOUNDS_MS } from '../../../lib/core/request-counts';
import { percentile } from '../../../lib/ops/plots/percentile';

describe('percentiles of counted lengths of time', () => {
  it('lie in the bucket that holds the rank', () => {
    const bucket = fc.integer({ min: 0, max: BOUNDS_MS.length - 1 });
    fc.assert(
      fc.property(
        fc.array(bucket, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (buckets, share) => {
          const counts = Array.from(
            { length: BOUNDS_MS.length + 1 },
            (_, i) => buckets.filter((one) => one === i).length,
          );
          const sorted = buckets.toSorted((a, b) => a - b);
          const rank = Math.ceil(share * sorted.length - 1e-9);
          const holds = sorted[Math.max(0, rank - 1)] ?? 0;
          const ms = percentile(counts, share) ?? Number.NaN;
          assert.ok(ms >= (BOUNDS_MS[holds - 1] ?? 0) && ms <= (BOUNDS_MS[holds] ?? 0), `${ms} in bucket ${holds}`);
        },
      ),
    );
  });

  it('are beyond the last bound when they lie there, and null of nothing', () => {
    assert.ok((percentile([...BOUNDS_MS.map(() => 0), 4], 0.5) ?? 0) > 30_000);
    assert.equal(percentile([...BOUNDS_MS.map(() => 0), 0], 0.99), null);
    assert.equal(percentile([], 0.99), null);
  });
});
