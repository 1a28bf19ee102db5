import assert from 'node:assert/strict';
import { QueueTimeMetrics } from '../../lib/web/request-metrics';

describe('the times that requests waited', () => {
  const p99Of = (waits: readonly number[]) => {
    const times = new QueueTimeMetrics();
    for (const ms of waits) times.record(ms);
    return times.takeP99();
  };
  const many = (count: number, ms: number) => Array.from({ length: count }, () => ms);

  it('are 0 without requests, and when 99 of 100 did not wait', () => {
    assert.equal(p99Of([]), 0);
    assert.equal(p99Of([...many(99, 0), 500]), 0);
  });

  it('tell the 99th of 100, whether the others waited or not', () => {
    for (const others of [0, 1]) assert.ok(Math.abs(p99Of([...many(98, others), 500, 500]) - 500) < 1);
    assert.ok(Math.abs(p99Of([...many(500, 0), ...many(495, 20), ...many(5, 900)]) - 20) < 0.2);
    assert.ok(Math.abs(p99Of([7]) - 7) < 0.1);
  });

  it('begin anew when they were asked for', () => {
    const times = new QueueTimeMetrics();
    times.record(30);
    assert.ok(times.takeP99() > 29);
    assert.equal(times.takeP99(), 0);
  });
});
