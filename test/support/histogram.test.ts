import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bucketOf, Histogram, lowerBound } from '../../lib/support/histogram';

const lengths = fc.array(fc.double({ min: 0, max: 200_000_000, noNaN: true }), { minLength: 1, maxLength: 200 });
const share = fc.double({ min: 0, max: 1, noNaN: true });

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

describe('a histogram', () => {
  it('tells each percentile to within the bucket of the true one', () => {
    fc.assert(
      fc.property(lengths, share, (values, p) => {
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(p * sorted.length)) - 1] ?? 0;
        const told = histogramOf(values).percentile(p) ?? -1;
        const bucket = bucketOf(exact);
        assert.ok(told >= lowerBound(bucket) && told <= lowerBound(bucket + 1), `${told} for ${exact}`);
      }),
    );
  });

  it('of many is the same as of all', () => {
    fc.assert(
      fc.property(fc.array(lengths, { maxLength: 6 }), share, (parts, p) => {
        const merged = new Histogram();
        for (const part of parts) merged.merge(histogramOf(part));
        const whole = histogramOf(parts.flat());
        assert.deepEqual(merged.counts, whole.counts);
        assert.equal(merged.percentile(p), whole.percentile(p));
        assert.ok(Math.abs(merged.sumMs - whole.sumMs) <= 1e-6 * whole.sumMs);
        assert.equal(merged.count, parts.flat().length);
      }),
    );
  });

  it('puts every number into some bucket, larger ones never into an earlier one', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
        const [low, high] = [bucketOf(Math.min(a, b)), bucketOf(Math.max(a, b))];
        assert.ok(low >= 0 && low <= high && high < 48);
      }),
    );
    assert.deepEqual([Number.NaN, -1, 0, 1.49, 1.51, 1e300].map(bucketOf), [0, 0, 0, 0, 1, 47]);
  });

  it('of nothing tells nothing', () => {
    const empty = new Histogram();
    assert.deepEqual([empty.count, empty.meanMs, empty.percentile(0.5)], [0, null, null]);
  });
});
