import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { type Minutes, Tally } from '../../../lib/job/history/tally';

const NOON = Date.UTC(2026, 10, 25, 12);

describe('the tally of a process', () => {
  let events: Events;
  let tally: Tally;
  let now: number;
  beforeEach(() => {
    now = NOON + 30_000;
    events = new Events();
    tally = new Tally(() => now);
    tally.listen(events);
  });

  const succeed = (className = 'AJob') =>
    events.emit('job.succeeded', { id: 'j', class: className, queue: 'default', durationMs: 5 });
  const processed = (minutes: Minutes) =>
    [...minutes.values()].flatMap((classes) => [...classes.values()]).reduce((sum, one) => sum + one.processed, 0);

  it('counts each outcome, and how long jobs waited and ran', () => {
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

  it('is by minute, and gives everything once', () => {
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

  it('keeps few minutes and few classes, and loses no count for it', () => {
    for (let minute = 0; minute < 500; minute++, now += 60_000) succeed(`Class${minute}`);
    for (let i = 0; i < 1000; i++) succeed(`Other${i}`);
    const minutes = tally.take();
    assert.equal(minutes.size, 60);
    for (const classes of minutes.values()) assert.ok(classes.size <= 201, `${classes.size} classes`);
    assert.equal(processed(minutes), 1500);
    assert.ok([...minutes.values()].at(-1)?.has('(other classes)'));
  });

  it('counts classes that the app does not have together', () => {
    const known = new Tally(
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

  it('hears nothing any more when it has ended', () => {
    const other = new Tally();
    const end = other.listen(events);
    end();
    succeed();
    assert.equal(other.take().size, 0);
  });
});
