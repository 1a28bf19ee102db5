import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Events } from '../../../lib/core/events';
import { ClassStats, COUNTERS, fromFields, GREATEST, HISTOGRAMS, toFields } from '../../../lib/job/stats/class-stats';
import { JobStats, type Minutes } from '../../../lib/job/stats/collector';

const NOON = Date.UTC(2026, 10, 25, 12);

describe('the job statistics of a process', () => {
  let events: Events;
  let tally: JobStats;
  let now: number;
  beforeEach(() => {
    now = NOON + 30_000;
    events = new Events();
    tally = new JobStats(() => now);
    tally.listen(events);
  });

  const succeed = (className = 'AJob') =>
    events.emit('job.succeeded', { id: 'j', class: className, queue: 'default', durationMs: 5 });
  const processed = (minutes: Minutes) =>
    [...minutes.values()].flatMap((classes) => [...classes.values()]).reduce((sum, one) => sum + one.processed, 0);

  it('count each outcome, and how long jobs waited and ran', () => {
    const about = { id: 'j', class: 'AJob', queue: 'default', attempt: 1 };
    const error = new Error('broken');
    events.emit('job.started', { ...about, waitedMs: 100 });
    events.emit('job.retrying', { ...about, waitMs: 1, error });
    events.emit('job.started', { ...about, waitedMs: 200 });
    events.emit('job.dead', { ...about, error, reason: 'the last' });
    events.emit('job.discarded', { ...about, error });
    succeed();
    const { latency, duration, ...counters } = tally.take().get(NOON)?.get('AJob') ?? assert.fail();
    assert.deepEqual({ ...counters }, { processed: 1, failed: 2, retried: 1, dead: 1, discarded: 1 });
    assert.deepEqual([latency.count, latency.sumMs, duration.count, duration.sumMs], [2, 300, 1, 5]);
  });

  it('are by minute, and are taken once', () => {
    succeed();
    now += 29_999;
    succeed();
    now += 1;
    succeed();
    const minutes = tally.take();
    assert.deepEqual(
      [...minutes].map(([minute, classes]) => [minute - NOON, classes.get('AJob')?.processed]),
      [
        [0, 2],
        [60_000, 1],
      ],
    );
    assert.equal(tally.take().size, 0);
    succeed();
    assert.equal(processed(tally.take()), 1);
  });

  it('keep at most 60 minutes and 200 classes, without losing a count', () => {
    for (let minute = 0; minute < 500; minute++, now += 60_000) succeed(`Class${minute}`);
    for (let i = 0; i < 1000; i++) succeed(`Other${i}`);
    const minutes = tally.take();
    assert.equal(minutes.size, 60);
    for (const classes of minutes.values()) assert.ok(classes.size <= 201, `${classes.size} classes`);
    assert.equal(processed(minutes), 1500);
    assert.ok([...minutes.values()].at(-1)?.has('(other classes)'));
  });

  it('count classes that the app does not have together', () => {
    const known = new JobStats(
      () => now,
      (name) => name === 'AJob',
    );
    known.listen(events);
    for (const name of ['AJob', 'MadeUp1', 'MadeUp2', 'constructor']) succeed(name);
    const [classes = assert.fail()] = known.take().values();
    assert.deepEqual(
      [...classes].map(([name, { processed }]) => [name, processed]),
      [
        ['AJob', 1],
        ['(other classes)', 3],
      ],
    );
  });

  it('count nothing after they have stopped listening', () => {
    const other = new JobStats();
    const end = other.listen(events);
    end();
    succeed();
    assert.equal(other.take().size, 0);
  });
});

const tallies = fc
  .record({
    counters: fc.array(fc.nat(1000), { minLength: COUNTERS.length, maxLength: COUNTERS.length }),
    latency: fc.array(fc.nat(10_000_000), { maxLength: 20 }),
    duration: fc.array(fc.nat(10_000_000), { maxLength: 20 }),
  })
  .map(({ counters, ...lengths }) => {
    const tally = new ClassStats();
    COUNTERS.forEach((name, index) => {
      tally[name] = counters[index] ?? 0;
    });
    for (const name of HISTOGRAMS) for (const ms of lengths[name]) tally[name].observe(ms);
    return tally;
  });
// A name that JavaScript does not accept as an own key would be lost in Redis's client as well.
const names = fc.string().filter((name) => name !== '__proto__');

describe('the statistics of a class', () => {
  it('come back from Redis unchanged, whatever the name of the class', () => {
    fc.assert(
      fc.property(names, tallies, (className, tally) => {
        const fields = Object.fromEntries(toFields(className, tally).map(([field, by]) => [field, String(by)]));
        assert.deepEqual(fromFields(fields).get(className) ?? new ClassStats(), tally);
      }),
    );
  });

  it('are the sum of their parts', () => {
    fc.assert(
      fc.property(tallies, tallies, (a, b) => {
        const hash: Record<string, number> = {};
        for (const [field, by] of [...toFields('X', a), ...toFields('X', b)]) {
          const before = hash[field] ?? 0;
          hash[field] = new RegExp(GREATEST).test(field) ? Math.max(before, by) : before + by;
        }
        const fields = Object.fromEntries(Object.entries(hash).map(([field, by]) => [field, String(by)]));
        a.merge(b);
        assert.deepEqual(fromFields(fields).get('X') ?? new ClassStats(), a);
      }),
    );
  });

  it('skip fields that they do not know', () => {
    const fields = { 'p:A': '2', 'q:A': '1', 'l48:A': '1', 'lx:A': '1', ':A': '1', p: '1', '': '1', 'f:A': 'many' };
    assert.deepEqual(
      [...fromFields(fields)].map(([name, { processed, failed }]) => [name, processed, failed]),
      [['A', 2, 0]],
    );
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.string()), (any) => void fromFields(any)));
  });
});
