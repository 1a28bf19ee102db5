import assert from 'node:assert/strict';
import type { EventMap } from '../../lib/core/events';
import { sumRequests } from '../../lib/core/request-counts';
import { BOUNDS_MS } from '../../lib/support/histogram';
import { RequestMetrics } from '../../lib/web/request-metrics';

const finished = (about: Partial<EventMap['request.finished']>): EventMap['request.finished'] => ({
  method: 'GET',
  path: '/',
  status: 200,
  durationMs: 3,
  queuedMs: 0,
  sqlMs: 0,
  sqlCount: 0,
  internal: false,
  shedReason: null,
  requestId: 'r',
  remoteAddress: '127.0.0.1',
  ...about,
});

describe('request metrics', () => {
  it('are counted by method and status class, and unknown ones as other', () => {
    const tally = new RequestMetrics();
    for (const method of ['GET', 'GET', 'POST', 'BREW', '__proto__', 'constructor', 'get'])
      tally.add(finished({ method }));
    for (const status of [201, 301, 404, 499, 503, 599, 0, 999]) tally.add(finished({ status }));
    assert.deepEqual(tally.read().answered, {
      'GET 2xx': 3,
      'GET 3xx': 1,
      'GET 4xx': 2,
      'GET 5xx': 2,
      'GET other': 2,
      'POST 2xx': 1,
      'other 2xx': 4,
    });
  });

  it('name the route that rejected most, for a minute, without ids and what crawlers meet', () => {
    let now = 0;
    const tally = new RequestMetrics(() => now);
    assert.equal(tally.mostRejected(), null);
    for (const status of [404, 401, 429, 500]) for (let n = 0; n < 9; n++) tally.add(finished({ status }));
    assert.equal(tally.mostRejected(), null);
    for (const path of ['/shops/7', '/shops/8', '/shops/7']) tally.add(finished({ method: 'POST', path, status: 422 }));
    for (const status of [400, 422]) tally.add(finished({ path: '/', status }));
    assert.deepEqual(tally.mostRejected(), { route: 'POST /shops/…', status: 422, count: 3 });
    now = 30_000;
    tally.add(finished({ method: 'POST', path: '/shops/9', status: 422 }));
    assert.equal(tally.mostRejected()?.count, 4);
    now = 60_000;
    assert.equal(tally.mostRejected()?.count, 1);
    now = 120_000;
    assert.equal(tally.mostRejected(), null);
  });

  it('put each duration into the bucket whose bound it does not exceed', () => {
    const tally = new RequestMetrics();
    for (const bound of BOUNDS_MS) tally.add(finished({ durationMs: bound, queuedMs: bound + 0.01 }));
    const { duration, queued } = tally.read();
    assert.deepEqual(duration.counts, [...BOUNDS_MS.map(() => 1), 0]);
    assert.deepEqual(queued.counts, [0, ...BOUNDS_MS.map(() => 1)]);
    const sum = BOUNDS_MS.reduce((all, bound) => all + bound, 0);
    assert.ok(Math.abs(duration.sumMs - sum) < 0.001);
    assert.ok(Math.abs(queued.sumMs - sum - BOUNDS_MS.length / 100) < 0.001);
  });

  it('report the slowest request since the last reading', () => {
    const tally = new RequestMetrics();
    for (const [durationMs, queuedMs] of [
      [30, 2],
      [1300, 0],
      [4, 1.5],
    ] as const)
      tally.add(finished({ durationMs, queuedMs }));
    assert.deepEqual(tally.takeSlowest(), { durationMs: 1300, queuedMs: 2 });
    tally.add(finished({ durationMs: 5 }));
    assert.deepEqual(tally.takeSlowest(), { durationMs: 5, queuedMs: 0 });
    assert.deepEqual(tally.takeSlowest(), { durationMs: 0, queuedMs: 0 });
  });

  it('report the 99th percentile of queue times since the last reading, even if most requests did not wait', () => {
    const tally = new RequestMetrics();
    const p99Of = (waits: Readonly<Record<number, number>>) => {
      for (const [queuedMs, count] of Object.entries(waits))
        for (let n = 0; n < count; n++) tally.add(finished({ queuedMs: Number(queuedMs) }));
      return tally.takeQueueTimeP99();
    };
    assert.equal(p99Of({}), 0);
    assert.equal(p99Of({ 0: 99, 500: 1 }), 0);
    assert.equal(p99Of({ 7: 1 }), 7);
    const busy = p99Of({ 0: 500, 20: 495, 900: 5 });
    assert.ok(busy > 19 && busy <= 25, `${busy}`);
    assert.equal(p99Of({}), 0);
  });

  it('count shed requests by reason', () => {
    const tally = new RequestMetrics();
    for (const shedReason of ['full', 'full', 'timeout', null] as const)
      tally.add(finished({ shedReason, status: 503 }));
    assert.deepEqual(tally.read().shed, { full: 2, timeout: 1 });
  });

  it('are summed up over processes', () => {
    const [one, other] = [new RequestMetrics(), new RequestMetrics()];
    one.add(finished({ durationMs: 2, queuedMs: 0.5 }));
    other.add(finished({ durationMs: 40_000 }));
    other.add(finished({ method: 'PUT', status: 503, shedReason: 'full' }));
    const sum = sumRequests([one.read(), other.read()]);
    assert.deepEqual(sum.answered, { 'GET 2xx': 2, 'PUT 5xx': 1 });
    assert.deepEqual(sum.shed, { full: 1, timeout: 0 });
    assert.equal(sum.duration.sumMs, 40_005);
    assert.equal(sum.duration.counts.at(-1), 1);
    assert.equal(
      sum.duration.counts.reduce((all, count) => all + count, 0),
      3,
    );
    const nothing = sumRequests([]);
    assert.deepEqual(nothing.duration, { counts: BOUNDS_MS.map(() => 0).concat(0), sumMs: 0 });
  });
});
