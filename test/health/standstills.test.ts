import assert from 'node:assert/strict';
import type { PartProgress } from '../../lib/cluster/status';
import { type EventMap, Events } from '../../lib/core/events';
import { treeIssues } from '../../lib/health/issues';
import { findStandstills, owedSinceStart, StandstillReporter } from '../../lib/health/standstills';
import { processorOf, treeStatusOf } from '../ops/overview/tree-statuses';

const MOVING: PartProgress = { part: 'dispatch', movedMs: 10, owedMs: 0, cause: 'noAnswer', error: '' };
const FULL: PartProgress = { ...MOVING, owedMs: 11_000, cause: 'redisFull', error: 'OOM at redis://app@10.0.0.7' };
const waiting = [
  { queue: 'default', ms: 60_000, readMs: 60_000, paused: false },
  { queue: 'mailer', ms: 12_000, readMs: 12_000, paused: true },
];

describe('standstills', () => {
  const found = (status: Partial<Parameters<typeof findStandstills>[0]>) =>
    findStandstills({ quiet: false, ...status }).map(({ part, cause, about }) => [part, cause, about].join(' ').trim());

  it('are parts that have work and make no progress for 10 s', () => {
    assert.deepEqual(found({ progress: [MOVING, { ...FULL, owedMs: 9999 }] }), []);
    assert.deepEqual(found({ progress: [FULL] }), ['dispatch redisFull OOM at redis://app@10.0.0.7']);
  });

  it('are jobs that wait because a queue is paused or the processor is quiet, but not jobs that wait for a slot', () => {
    assert.deepEqual(found({ waiting }), ['queue paused mailer']);
    assert.deepEqual(found({ waiting, quiet: true }), ['queue quiet default', 'queue paused mailer']);
  });

  it('at the start of a processor are counted from the start of its process, but not before 5 s', () => {
    const since = (movedMs: number | null, owedMs: number) => owedSinceStart({ movedMs, owedMs }, 9000, 5500);
    assert.equal(since(null, 5400), 9000);
    assert.equal(since(null, 4999), 4999, 'it may just be slow');
    assert.equal(since(8000, 5400), 5400, 'it has made progress');
    assert.equal(owedSinceStart({ movedMs: null, owedMs: 6000 }, 60_000, 55_000), 6000, 'it became due later');
  });

  it('are processors that have been booting for longer than their time limit, which /ops reports', () => {
    const issues = (heartbeatAgeMs: number) =>
      treeIssues(
        treeStatusOf({
          jobs: processorOf({ state: 'booting', lastCheckin: null, heartbeatAgeMs }),
          limits: { bootTimeoutMs: 30_000 },
        }),
      );
    assert.deepEqual(issues(30_000), []);
    const figures = { part: 'processor', cause: 'boots', spanMs: 30_001 };
    assert.deepEqual(issues(30_001), [{ level: 'bad', code: 'stalled', subject: 'processor', figures, detail: '' }]);
  });

  it('are reported when they begin and when they end, and to the public without private details', () => {
    const told: [name: string, payload: { readonly about: string }][] = [];
    const events = new Events();
    for (const name of ['processor.stalled', 'processor.recovered'] as const)
      events.on(name, (payload: EventMap[typeof name]) => told.push([name, payload]));
    const reporter = new StandstillReporter(events);
    const words = 'looking for jobs that are due';
    const reason = 'Redis has no memory left (maxmemory)';
    assert.equal(reporter.report({ quiet: false, progress: [MOVING] }), null);
    assert.equal(reporter.report({ quiet: false, progress: [FULL] }), `${words} stands still: ${reason}`);
    assert.equal(
      reporter.report({ quiet: false, progress: [{ ...FULL, owedMs: 14_000 }], waiting }),
      `${words} stands still: ${reason}; a queue with jobs (mailer) stands still: an operator has paused the queue`,
    );
    const otherwise = { ...FULL, owedMs: 14_000, cause: 'redisBusy', error: '' } as const;
    reporter.report({ quiet: false, progress: [otherwise] });
    assert.equal(told.length, 4, 'another cause is reported, and does not count as progress');
    told.splice(2, 2);
    reporter.report({ quiet: false, progress: [{ ...FULL, owedMs: 14_000 }], waiting });
    told.splice(2);
    assert.equal(reporter.report({ quiet: false, progress: [MOVING] }), null);
    const dispatch = { part: 'dispatch', about: FULL.error, words };
    const queue = { part: 'queue', about: 'mailer', words: 'a queue with jobs', spanMs: 12_000 };
    assert.deepEqual(told, [
      ['processor.stalled', { ...dispatch, cause: 'redisFull', spanMs: 11_000, reason }],
      ['processor.stalled', { ...queue, cause: 'paused', reason: 'an operator has paused the queue' }],
      ['processor.recovered', { ...dispatch, spanMs: 14_000 }],
      ['processor.recovered', queue],
    ]);
    told.length = 0;
    for (const quiet of [true, false]) reporter.report({ quiet, waiting });
    const heard = told.map(([name, { about }]) => `${name.slice(10)} ${about}`);
    assert.deepEqual(heard, ['stalled default', 'stalled mailer', 'recovered default'], 'each queue by itself');
  });
});
