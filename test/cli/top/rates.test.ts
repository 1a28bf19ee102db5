import assert from 'node:assert/strict';
import { RateMeter } from '../../../lib/cli/top/rates';
import type { WorkerStats } from '../../../lib/cluster/status';
import { type RequestCounts, sumRequests } from '../../../lib/core/request-counts';
import { BOUNDS_MS } from '../../../lib/support/histogram';
import { NOW, statusOf, treeStatusOf, workerOf } from '../../ops/overview/tree-statuses';

/** The counts of requests that took up to 25 ms each. */
function counts(answered: Readonly<Record<string, number>>): RequestCounts {
  const total = Object.values(answered).reduce((sum, count) => sum + count, 0);
  const buckets = { counts: BOUNDS_MS.map((bound) => (bound === 25 ? total : 0)).concat(0), sumMs: total * 20 };
  return { ...sumRequests([]), answered, duration: buckets };
}

const served = (pid: number, requests: number, cpuSeconds: number) =>
  workerOf(0, { pid, lastStatus: statusOf({ requests: counts({ 'GET 2xx': requests }), cpuSeconds }) });

/** A status taken the given number of seconds after NOW. */
function treeStatus(
  workers: readonly WorkerStats[],
  about: { seconds?: number; requests?: RequestCounts; id?: string } = {},
) {
  const { seconds = 0, requests = sumRequests([]), id = 'f00d' } = about;
  const totals = { requests, workerRestarts: {}, cpuSeconds: {} };
  return treeStatusOf({ at: new Date(Date.parse(NOW) + seconds * 1000).toISOString(), id, workers, stats: { totals } });
}

describe('the rates of top', () => {
  it('are the differences between two statuses', () => {
    const meter = new RateMeter();
    const first = meter.add(treeStatus([served(1, 100, 1)], { requests: counts({ 'GET 2xx': 100 }) }));
    assert.equal(first.requestsPerS, undefined, 'nothing is known yet, which is not 0');
    const requests = counts({ 'GET 2xx': 150, 'POST 5xx': 10 });
    const rates = meter.add(treeStatus([served(1, 140, 2)], { seconds: 2, requests }));
    assert.deepEqual([rates.requestsPerS, rates.failingPerS], [30, 5]);
    assert.deepEqual(rates.byPid.get(1), { requestsPerS: 20, cpu: 0.5 });
    assert.ok((rates.p50Ms ?? 0) > 10 && (rates.p99Ms ?? 99) <= 25);
    assert.equal(rates.byPid.get(90)?.cpu, 0);
    assert.equal(rates.byPid.get(24)?.requestsPerS, undefined, 'the primary serves no web');
  });

  it('show no percentile above the slowest request', () => {
    const meter = new RateMeter();
    const none = counts({ 'GET 2xx': 0 });
    meter.add(treeStatus([], { requests: none }));
    const requests = counts({ 'GET 2xx': 3 });
    const later = treeStatus([], { seconds: 1, requests });
    const rates = meter.add({ ...later, rates: { ...later.rates, slowestMs: 13 } });
    assert.equal(rates.p99Ms, 13, 'not 22.5, as the bucket alone suggests');
  });

  it('cover the last five seconds', () => {
    const meter = new RateMeter();
    for (let s = 0; s <= 10; s++) meter.add(treeStatus([], { seconds: s, requests: counts({ 'GET 2xx': 100 }) }));
    const rates = meter.add(treeStatus([], { seconds: 11, requests: counts({ 'GET 2xx': 110 }) }));
    assert.equal(rates.requestsPerS, 2);
  });

  it('start over with a new primary, whose counters start at zero', () => {
    const meter = new RateMeter();
    meter.add(treeStatus([served(1, 500, 9)], { requests: counts({ 'GET 2xx': 500 }) }));
    const rates = meter.add(
      treeStatus([served(1, 3, 1)], { seconds: 1, id: 'cafe', requests: counts({ 'GET 2xx': 3 }) }),
    );
    assert.equal(rates.requestsPerS, undefined);
    assert.equal(rates.byPid.size, 0);
  });

  it('are unknown for a process that has just started', () => {
    const meter = new RateMeter();
    meter.add(treeStatus([served(1, 500, 9)]));
    const rates = meter.add(treeStatus([served(2, 3, 1)], { seconds: 1 }));
    assert.equal(rates.byPid.get(2), undefined);
  });

  it('have no percentiles when no request has ended', () => {
    const meter = new RateMeter();
    meter.add(treeStatus([], { requests: counts({ 'GET 2xx': 5 }) }));
    const rates = meter.add(treeStatus([], { seconds: 1, requests: counts({ 'GET 2xx': 5 }) }));
    assert.deepEqual([rates.requestsPerS, rates.p50Ms, rates.p99Ms], [0, null, null]);
  });
});
