import assert from 'node:assert/strict';
import fc from 'fast-check';
import { JOB_BOUNDS_MS } from '../../lib/job/stats/class-stats';
import { BOUNDS_MS, findBucket, Histogram } from '../../lib/support/histogram';

const lengths = fc.array(fc.double({ min: 0, max: 200_000_000, noNaN: true }), { minLength: 1, maxLength: 200 });
/** The bounds of requests, those of jobs, and bounds whose first bucket only has 0. */
const bounds = fc.constantFrom(BOUNDS_MS, JOB_BOUNDS_MS, [0, ...BOUNDS_MS]);
const share = fc.double({ min: 0, max: 1, noNaN: true });

function histogramOf(values: readonly number[], of: readonly number[]): Histogram {
  const histogram = new Histogram(of);
  for (const value of values) histogram.observe(value);
  return histogram;
}

describe('a histogram', () => {
  it('gives each percentile within the bucket of the exact one', () => {
    fc.assert(
      fc.property(bounds, lengths, share, (of, values, p) => {
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(p * sorted.length)) - 1] ?? 0;
        const told = histogramOf(values, of).quantile(p) ?? -1;
        const bucket = findBucket(of, exact);
        const [from, to] = [of[bucket - 1] ?? 0, of[bucket] ?? Math.max(...values)];
        assert.ok(told >= from && told <= to, `${told} for ${exact}`);
      }),
    );
  });

  it('that is merged from many equals the one of all values', () => {
    fc.assert(
      fc.property(bounds, fc.array(lengths, { maxLength: 6 }), share, (of, parts, p) => {
        const merged = new Histogram(of);
        for (const part of parts) merged.add(histogramOf(part, of));
        const whole = histogramOf(parts.flat(), of);
        assert.deepEqual(merged.counts, whole.counts);
        assert.equal(merged.quantile(p), whole.quantile(p));
        assert.ok(Math.abs(merged.sumMs - whole.sumMs) <= 1e-6 * whole.sumMs);
        assert.equal(merged.count, parts.flat().length);
      }),
    );
  });

  it('puts every number into a bucket, and a larger one never into an earlier bucket', () => {
    fc.assert(
      fc.property(bounds, fc.double({ noNaN: true }), fc.double({ noNaN: true }), (of, a, b) => {
        const [low, high] = [findBucket(of, Math.min(a, b)), findBucket(of, Math.max(a, b))];
        assert.ok(low >= 0 && low <= high && high <= of.length);
      }),
    );
    const ofJobs = [Number.NaN, -1, 0, 1.49, 1.5, 1.51, 1e300].map((ms) => findBucket(JOB_BOUNDS_MS, ms));
    assert.deepEqual(ofJobs, [0, 0, 0, 0, 0, 1, 47]);
  });

  it('without values has no mean and no percentiles', () => {
    const empty = new Histogram();
    assert.deepEqual([empty.count, empty.meanMs, empty.quantile(0.5)], [0, null, null]);
  });
});
