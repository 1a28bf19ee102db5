import assert from 'node:assert/strict';
import type { PartProgress, ProcessorStats } from '../../lib/cluster/status';
import { type EventMap, Events } from '../../lib/core/events';
import { StandstillWatch } from '../../lib/health/standstill-watch';
import { standstillsOf } from '../../lib/health/standstills';
import { processorOf, statusOf } from '../ops/overview/tree-statuses';
import { until } from '../support/until';

const MOVING: PartProgress = { part: 'relay', movedMs: 10, owedMs: 0, cause: 'noAnswer', error: '' };
const FULL: PartProgress = { ...MOVING, owedMs: 11_000, cause: 'redisFull', error: 'OOM at redis://app@10.0.0.7' };

function reporting(changes: object, state: ProcessorStats['state'] = 'ready'): ProcessorStats {
  const lastCheckin = new Date().toISOString();
  return processorOf({ state, lastCheckin, lastStatus: { ...statusOf(), quiet: false, inFlight: [], ...changes } });
}

describe('standstills', () => {
  const found = (stats: ProcessorStats, now = new Date()) =>
    standstillsOf(stats, now).map(({ part, cause, about }) => [part, cause, about].join(' ').trim());

  it('are parts that have something to do and do not move for 10 s', () => {
    assert.deepEqual(found(reporting({ progress: [MOVING, { ...FULL, owedMs: 9999 }] })), []);
    assert.deepEqual(found(reporting({ progress: [FULL] })), ['relay redisFull OOM at redis://app@10.0.0.7']);
  });

  it('are a processor without heartbeats, whatever it said last', () => {
    const stats = reporting({ progress: [FULL] });
    assert.deepEqual(found(stats, new Date(Date.now() + 5000)), ['processor frozen']);
    assert.deepEqual(found({ ...stats, state: 'booting' }, new Date(Date.now() + 5000)), []);
  });

  it('are jobs that wait since a queue is paused or the processor is quiet, not jobs that wait for a slot', () => {
    const waiting = [
      { queue: 'default', ms: 60_000, paused: false },
      { queue: 'mailer', ms: 12_000, paused: true },
    ];
    assert.deepEqual(found(reporting({ waiting })), ['queue paused mailer']);
    assert.deepEqual(found(reporting({ waiting }, 'quiet')), ['queue quiet default', 'queue quiet mailer']);
  });

  it('say nothing of a processor of an older version, which reports no progress', () => {
    assert.deepEqual(found(reporting({})), []);
  });
});

describe('the watch for standstills', () => {
  let stats = reporting({ progress: [MOVING] });
  let watch: StandstillWatch | undefined;
  const reasons: (string | null)[] = [];
  const told: [name: string, payload: object][] = [];
  beforeEach(() => {
    reasons.length = 0;
    told.length = 0;
    const events = new Events();
    for (const name of ['processor.stalled', 'processor.moves'] as const)
      events.on(name, (payload: EventMap[typeof name]) => told.push([name, payload]));
    watch = new StandstillWatch({
      processor: () => stats,
      events,
      onReason: (reason) => reasons.push(reason),
      everyMs: 5,
    });
    watch.start();
  });
  afterEach(() => watch?.stop());

  it('reports the beginning and the end once each, and gives the public a reason without private words', async () => {
    stats = reporting({ progress: [FULL] });
    await until('it is reported', () => reasons.length > 0);
    assert.deepEqual(reasons, [
      'dispatching jobs from the outbox has stood still for 11 s: Redis has no memory left (maxmemory)',
    ]);
    stats = reporting({ progress: [{ ...FULL, owedMs: 14_000 }] });
    await until('its length goes on', () => reasons.length === 2);
    stats = reporting({ progress: [MOVING] });
    await until('it has ended', () => reasons.at(-1) === null);
    assert.deepEqual(told, [
      ['processor.stalled', { part: 'relay', cause: 'redisFull', spanMs: 11_000, about: FULL.error }],
      ['processor.moves', { part: 'relay', spanMs: 14_000, about: FULL.error }],
    ]);
  });
});
