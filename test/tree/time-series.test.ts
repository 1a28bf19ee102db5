import assert from 'node:assert/strict';
import type { Rollup } from '../../lib/cluster/status';

import { NONE_SLOW } from '../../lib/core/request-counts';
import { figuresKey } from '../../lib/tree/keys';
import { ALL_TREES, FIGURE_RANGES, TimeSeries, writeRollup } from '../../lib/tree/time-series';
import { useRedis, useRedisServer } from '../support/stores';
import { inSuite } from '../support/suite';

const TREE = { id: 'tree-1', place: 'here' };
/** A moment at which a step of every range begins. */
const NOON = Date.UTC(2026, 2, 12, 12, 0, 0);

function part(
  number: number,
  at: number,
  requests: number,
  memory: Rollup['memory'] = {},
  slowest = NONE_SLOW,
): Rollup {
  const sums = { requests, serverErrors: 1, shed: 0, processed: 2, failed: 0 };
  return { number, at, sums, duration: [requests, 0, 1], queued: [requests], slowest, memory };
}

describe('the time series of figures', () => {
  const server = useRedisServer();
  const redis = useRedis(() => server.url);
  const history = inSuite(undefined, () => new TimeSeries(redis.client));
  beforeEach(() => redis.client.flushAll());

  const last = async (place: string, range: '10m' | '1h' | '6h' | '24h', now: number) =>
    (await history.read(place, range, now)).at(-1)?.figures;

  it('adds up rollups by step, and keeps the greatest memory of each process', async () => {
    await writeRollup(redis.client, TREE, part(1, NOON, 10, { primary: 30, 'worker 0': 50 }), { default: 200 });
    await writeRollup(redis.client, TREE, part(2, NOON + 10_000, 5, { primary: 29, 'worker 1': 70 }), {
      default: 90,
      mailer: 4,
    });
    const minute = await last(TREE.place, '1h', NOON + 20_000);
    assert.deepEqual(minute?.sums, { requests: 15, serverErrors: 2, shed: 0, processed: 4, failed: 0 });
    assert.deepEqual([minute?.duration, minute?.queued], [[15, 0, 2], [15]]);
    assert.deepEqual(minute?.memory, { primary: 30, 'worker 0': 50, 'worker 1': 70 });
    assert.deepEqual(minute?.latencies, { default: 200, mailer: 4 });
    const fine = await history.read(TREE.place, '10m', NOON + 20_000);
    assert.deepEqual(
      fine.slice(-3).map(({ figures }) => figures?.sums.requests),
      [10, 5, undefined],
    );
    for (const { name } of FIGURE_RANGES.slice(1))
      assert.equal((await last(TREE.place, name, NOON + 20_000))?.sums.requests, 15, name);
  });

  it('keeps the slowest request of a step, above which no percentile is shown', async () => {
    await writeRollup(redis.client, TREE, part(1, NOON, 1, {}, { durationMs: 1300.5, queuedMs: 2 }), {});
    await writeRollup(redis.client, TREE, part(2, NOON + 10_000, 1, {}, { durationMs: 900, queuedMs: 7 }), {});
    for (const place of [TREE.place, ALL_TREES]) {
      assert.deepEqual((await last(place, '1h', NOON))?.slowest, { durationMs: 1300.5, queuedMs: 7 }, place);
    }
  });

  it('counts a rollup once, however often it is sent', async () => {
    for (let i = 0; i < 3; i++) await writeRollup(redis.client, TREE, part(1, NOON, 10), {});
    assert.equal((await last(TREE.place, '1h', NOON))?.sums.requests, 10);
    await writeRollup(redis.client, { ...TREE, id: 'tree-2' }, part(1, NOON, 10), {});
    assert.equal((await last(TREE.place, '1h', NOON))?.sums.requests, 20, 'a new primary in the same place adds to it');
  });

  it('adds up the requests of all trees, but not their memory', async () => {
    await writeRollup(redis.client, TREE, part(1, NOON, 10, { primary: 30 }), {});
    await writeRollup(redis.client, { id: 'tree-2', place: 'there' }, part(1, NOON, 7, { primary: 40 }), {});
    const all = await last(ALL_TREES, '1h', NOON);
    assert.deepEqual([all?.sums.requests, all?.memory], [17, {}]);
    assert.equal((await last('there', '1h', NOON))?.sums.requests, 7);
  });

  it('is bounded: old steps are overwritten, and every key expires', async () => {
    for (let i = 0; i < 200; i++) await writeRollup(redis.client, TREE, part(i + 1, NOON + i * 10_000, i), {});
    assert.equal(await redis.client.hLen(figuresKey(TREE.place, '10m')), 64);
    const steps = await history.read(TREE.place, '10m', NOON + 199 * 10_000);
    assert.deepEqual(
      steps.map(({ figures }) => figures?.sums.requests),
      Array.from({ length: 60 }, (_, i) => 140 + i),
    );
    for (const { name, stepS } of FIGURE_RANGES) {
      const ttl = await redis.client.ttl(figuresKey(TREE.place, name));
      assert.ok(ttl > 0 && ttl <= stepS * 64, `${name}: ${ttl} s`);
    }
    const bytes = await Promise.all(
      FIGURE_RANGES.map(({ name }) => redis.client.memoryUsage(figuresKey(TREE.place, name))),
    );
    assert.ok(bytes.reduce<number>((sum, size) => sum + (size ?? 0), 0) < 100_000, `${bytes} bytes`);
  });

  it('shows gaps as unknown, and skips what it cannot read', async () => {
    await writeRollup(redis.client, TREE, part(1, NOON, 10), {});
    await redis.client.hSet(figuresKey(TREE.place, '1h'), { 7: 'no JSON', 8: '{"t":"x"}', 9: '[]' });
    const steps = await history.read(TREE.place, '1h', NOON + 120_000);
    assert.deepEqual(
      steps.slice(-3).map(({ figures }) => figures?.sums.requests),
      [10, undefined, undefined],
    );
    assert.equal(steps.length, 60);
  });
});
