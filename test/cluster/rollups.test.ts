import assert from 'node:assert/strict';
import { RecentRates } from '../../lib/cluster/primary/recent-rates';
import { ROLLUP_INTERVAL_MS, Rollups } from '../../lib/cluster/primary/rollups';
import { type RequestCounts, sumRequests } from '../../lib/core/request-counts';
import { BOUNDS_MS } from '../../lib/support/histogram';

/** Totals since the start: requests that succeeded, failed or were shed, all of which took 7 ms. */
function counts(ok: number, errors = 0, refused = 0): RequestCounts {
  const none = sumRequests([]);
  const duration = { counts: BOUNDS_MS.map((bound) => (bound === 10 ? ok + errors + refused : 0)).concat(0), sumMs: 0 };
  const answered = { 'GET 2xx': ok, 'POST 5xx': errors + refused };
  return { ...none, answered, shed: { full: refused, timeout: 0 }, duration };
}

describe('rollups of ten seconds', () => {
  const make = () => {
    const source = { now: counts(0), memory: { primary: 30 }, stopping: false };
    const figures = new Rollups({
      requests: () => source.now,
      memory: () => source.memory,
      isStopping: () => source.stopping,
    });
    return { source, figures };
  };

  it('hold what was counted since the previous one', () => {
    const { source, figures } = make();
    source.now = counts(10, 2, 1);
    figures.addWork({ processed: 3, failed: 1 });
    figures.closeRollup(20_000);
    source.now = counts(14, 2, 1);
    source.memory = { primary: 31 };
    figures.closeRollup(30_000);
    const [first, second] = figures.after(0);
    assert.deepEqual(first?.sums, { requests: 13, serverErrors: 3, shed: 1, processed: 3, failed: 1 });
    assert.deepEqual(second?.sums, { requests: 4, serverErrors: 0, shed: 0, processed: 0, failed: 0 });
    assert.equal(first?.duration[BOUNDS_MS.indexOf(10)], 13);
    assert.equal(second?.duration[BOUNDS_MS.indexOf(10)], 4);
    assert.deepEqual([first?.at, second?.at, second?.memory], [20_000, 30_000, { primary: 31 }]);
  });

  it('include what ends while the tree stops, up to each read', () => {
    const { source, figures } = make();
    figures.addWork({ processed: 3, failed: 0 });
    source.stopping = true;
    const [first] = figures.after(0);
    assert.equal(first?.sums.processed, 3);
    source.now = counts(2);
    figures.addWork({ processed: 1, failed: 1 });
    const [second] = figures.after(first?.number ?? 0);
    assert.deepEqual(second?.sums, { requests: 2, serverErrors: 0, shed: 0, processed: 1, failed: 1 });
  });

  it('hold the slowest request of their own interval', () => {
    const { figures } = make();
    figures.addSlowest({ durationMs: 1300, queuedMs: 1 });
    figures.addSlowest({ durationMs: 700, queuedMs: 9 });
    figures.closeRollup(20_000);
    figures.addSlowest({ durationMs: 5, queuedMs: 0 });
    figures.closeRollup(30_000);
    assert.deepEqual(
      figures.after(0).map(({ slowest }) => slowest),
      [
        { durationMs: 1300, queuedMs: 9 },
        { durationMs: 5, queuedMs: 0 },
      ],
    );
  });

  it('are kept until they are acknowledged as stored', () => {
    const { figures } = make();
    for (let i = 1; i <= 3; i++) figures.closeRollup(i * ROLLUP_INTERVAL_MS);
    assert.deepEqual(
      figures.after(1).map(({ number }) => number),
      [2, 3],
    );
    assert.deepEqual(
      figures.after(0).map(({ number }) => number),
      [2, 3],
      'those that are stored are gone',
    );
  });

  it('are merged when they are not read for a long time, and no sum is lost', () => {
    const { source, figures } = make();
    for (let i = 1; i <= 100; i++) {
      source.now = counts(i);
      figures.addSlowest({ durationMs: i === 3 ? 900 : 7, queuedMs: 0 });
      figures.addWork({ processed: 2, failed: 0 });
      figures.closeRollup(i * ROLLUP_INTERVAL_MS);
    }
    const parts = figures.after(0);
    assert.equal(parts.length, 60);
    assert.deepEqual([parts[0]?.slowest.durationMs, parts[1]?.slowest.durationMs], [900, 7]);
    const total = (pick: (part: (typeof parts)[number]) => number) => parts.reduce((sum, part) => sum + pick(part), 0);
    assert.deepEqual([total(({ sums }) => sums.requests), total(({ sums }) => sums.processed)], [100, 200]);
    assert.equal(
      total(({ duration }) => duration[BOUNDS_MS.indexOf(10)] ?? 0),
      100,
    );
  });
});

describe('recent rates', () => {
  it('cover the last ten seconds, and the last minute for errors', () => {
    let [at, now] = [0, counts(0)];
    const rates = new RecentRates(
      () => now,
      () => at,
    );
    for (at = 0; at <= 40_000; at += 2000) {
      now = counts(at / 100, at === 40_000 ? 5 : 0, at === 40_000 ? 2 : 0);
      rates.sample();
    }
    at = 40_000;
    assert.deepEqual(rates.read(), { requestsPerS: 10.7, shed: 2, serverErrors: 7, slowestMs: 0 });
    for (at = 42_000; at <= 120_000; at += 2000) rates.sample();
    assert.deepEqual(rates.read(), { requestsPerS: 0, shed: 0, serverErrors: 0, slowestMs: 0 });
  });

  it('include the slowest request of the last five seconds', () => {
    let at = 0;
    const rates = new RecentRates(
      () => counts(0),
      () => at,
    );
    rates.addSlowest({ durationMs: 1300, queuedMs: 0 });
    assert.equal(rates.read().slowestMs, 1300, 'before the first sample');
    rates.sample();
    rates.addSlowest({ durationMs: 40, queuedMs: 0 });
    for (at of [2000, 4000]) rates.sample();
    assert.equal(rates.read().slowestMs, 1300);
    at = 5000;
    assert.equal(rates.read().slowestMs, 40);
  });
});
