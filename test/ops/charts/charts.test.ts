import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Translate } from '../../../lib/core/i18n';
import { NONE_SLOW } from '../../../lib/core/request-counts';
import { JOB_BOUNDS_MS } from '../../../lib/job/stats/class-stats';
import { drawCharts } from '../../../lib/ops/charts/charts';
import { Formatter } from '../../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../../lib/ops/ui/texts';
import { BOUNDS_MS, Histogram, quantile } from '../../../lib/support/histogram';
import type { FigureStep } from '../../../lib/tree/time-series';
import { RequestMetrics } from '../../../lib/web/request-metrics';

const NOW = Date.UTC(2026, 2, 12, 14, 0, 30);
const REQUEST = {
  method: 'GET',
  path: '/',
  status: 200,
  queuedMs: 0,
  sqlMs: 0,
  sqlCount: 0,
  internal: false,
  shedReason: null,
  requestId: 'r',
  remoteAddress: '127.0.0.1',
};

/** The bucket counts of a single request. */
function counted(durationMs: number): readonly number[] {
  const tally = new RequestMetrics();
  tally.add({ ...REQUEST, durationMs });
  return tally.read().duration.counts;
}

/** Sixty minutes, with figures for some of them. */
function minutes(known: Readonly<Record<number, Partial<NonNullable<FigureStep['figures']>>>>): FigureStep[] {
  return Array.from({ length: 60 }, (_, i) => {
    const at = new Date(Date.UTC(2026, 2, 12, 13, 1 + i));
    const sums = { requests: 0, serverErrors: 0, shed: 0, processed: 0, failed: 0 };
    const figures = known[i] && {
      sums,
      duration: [],
      queued: [],
      slowest: NONE_SLOW,
      memory: {},
      latencies: {},
      ...known[i],
    };
    return { at, figures };
  });
}

describe('charts', () => {
  let words: Formatter;
  before(() => {
    const translate = pageTexts(TEXTS).in('en');
    // Numbers and units are joined by non-breaking spaces.
    const t: Translate = (key, values) => translate(key, values).replaceAll('\u00a0', ' ');
    words = new Formatter(t, new Date(NOW));
  });
  const charts = (steps: readonly FigureStep[], limitMb: number | null = 512, now = new Date(NOW)) => {
    const source = {
      steps,
      memory: { steps, limitMb },
      range: '1h',
      latencyWarningMs: 60_000,
      now,
    } as const;
    return new Map(drawCharts(source, words).map((chart) => [chart.key, chart]));
  };
  const sums = { requests: 600, serverErrors: 9, shed: 6, processed: 30, failed: 3 };

  it('compute the rate of an unfinished minute from the seconds that have been recorded', () => {
    const drawn = charts(minutes({ 57: { sums }, 59: { sums } }));
    const requests = drawn.get('requests');
    assert.deepEqual(
      requests?.series[0]?.values.slice(-4),
      [null, 600, null, 1800],
      'over 60 s, unknown, over 20 recorded seconds',
    );
    assert.deepEqual([requests?.series[0]?.latest, requests?.unit], [1800, '/min']);
    const errors = drawn.get('errors')?.series.map(({ label, values, latest }) => [label, values[57], latest]);
    assert.deepEqual(errors, [
      ['5xx', 3, 9],
      ['503', 6, 18],
    ]);
    assert.deepEqual(
      drawn.get('jobs')?.series.map(({ values }) => values[57]),
      [30, 3],
    );
  });

  it('have a gap, not 0, in a minute without recorded seconds', () => {
    const begun = charts(minutes({ 57: { sums }, 59: { sums } }), 512, new Date(Date.UTC(2026, 2, 12, 14, 0, 12)));
    assert.deepEqual(begun.get('requests')?.series[0]?.values.slice(-3), [600, null, null]);
  });

  it('show no percentile above the slowest request', () => {
    const slowest = { durationMs: 1300, queuedMs: 40 };
    const drawn = charts(minutes({ 57: { duration: counted(1300), queued: counted(40), slowest } }));
    assert.deepEqual(
      (['response', 'queueTime'] as const).map((key) => drawn.get(key)?.series.map(({ values }) => values[57])),
      [
        [1300, 1300],
        [40, 40],
      ],
    );
  });

  it('show the queues with the highest latencies, and the limit', () => {
    const latencies = { default: 1200, mailer: 252_000, imports: 0, reports: 5 };
    const latency = charts(minutes({ 58: { latencies } })).get('latency');
    assert.deepEqual(
      latency?.series.map(({ label, latest }) => [label, latest]),
      [
        ['mailer', 252],
        ['default', 1.2],
        ['reports', 0.005],
      ],
    );
    assert.deepEqual([latency?.unit, latency?.limit], ['s', 60]);
  });

  it('stack the memory of processes, 0 for those that are gone', () => {
    const drawn = charts(
      minutes({
        10: { memory: { jobs: 60, 'worker 10': 50, 'worker 2': 40, primary: 30 } },
        59: { memory: { primary: 30, 'worker 2': 70, jobs: 60 } },
      }),
    ).get('memory');
    assert.deepEqual(
      drawn?.series.map(({ label, latest }) => [label, latest]),
      [
        ['Primary', 30],
        ['Worker 2', 70],
        ['Worker 10', 0],
        ['Jobs', 60],
      ],
    );
    assert.deepEqual([drawn?.unit, drawn?.max, drawn?.limit], ['MB', 512, 435.2]);
  });

  it('draw neighbouring workers in different shades', () => {
    const sizes = Array.from({ length: 6 }, (_, slot) => [`worker ${slot}`, 80]);
    const drawn = charts(minutes({ 58: { memory: { primary: 30, ...Object.fromEntries(sizes), jobs: 70 } } }));
    const looks = drawn.get('memory')?.series.map(({ look }) => look);
    assert.deepEqual(looks, ['p', 'w0', 'w1', 'w2', 'w3', 'w0', 'w1', 'j']);
  });
});

describe('percentiles of durations in buckets', () => {
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
          const ms = quantile(BOUNDS_MS, counts, share) ?? Number.NaN;
          assert.ok(ms >= (BOUNDS_MS[holds - 1] ?? 0) && ms <= (BOUNDS_MS[holds] ?? 0), `${ms} in bucket ${holds}`);
        },
      ),
    );
  });

  it('never exceed the slowest duration, whatever the bound of its bucket, for jobs and for requests', () => {
    const lengths = fc.array(fc.double({ min: 0, max: 40_000, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(lengths, fc.double({ min: 0.01, max: 1, noNaN: true }), (times, share) => {
        const [tally, histogram] = [new RequestMetrics(), new Histogram(JOB_BOUNDS_MS)];
        for (const durationMs of times) {
          tally.add({ ...REQUEST, durationMs });
          histogram.observe(durationMs);
        }
        const { durationMs: slowest } = tally.takeSlowest();
        const found = [quantile(BOUNDS_MS, tally.read().duration.counts, share, slowest), histogram.quantile(share)];
        // RequestMetrics is accurate to a thousandth of a millisecond.
        for (const ms of found) assert.ok(ms !== null && ms <= Math.max(...times) + 0.001, `${ms} of ${times}`);
      }),
    );
    assert.equal(quantile(BOUNDS_MS, counted(1300), 0.99, 1300), 1300, 'not 1750, in the middle of its bucket');
    assert.equal(quantile(BOUNDS_MS, counted(1300), 0.99), 1750, 'without knowledge of the slowest');
  });

  it('may lie beyond the last bound, and are null without data', () => {
    assert.ok((quantile(BOUNDS_MS, [...BOUNDS_MS.map(() => 0), 4], 0.5) ?? 0) > 30_000);
    assert.equal(quantile(BOUNDS_MS, [...BOUNDS_MS.map(() => 0), 0], 0.99), null);
    assert.equal(quantile(BOUNDS_MS, [], 0.99), null);
  });
});
