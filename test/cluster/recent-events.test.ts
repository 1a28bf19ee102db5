import assert from 'node:assert/strict';
import { EventBuffer, Events, onJobEvents } from '../../lib/core/events';

describe('what has happened in the tree', () => {
  it('is kept newest first, its plain values only, and no more of it than can be read', () => {
    const events = new Events();
    const recent = new EventBuffer(events);
    const inFlight = [{ what: 'GET /block', id: 'r', ageMs: 1 }];
    for (let slot = 0; slot < 50; slot++)
      events.emit('worker.unresponsive', { slot, pid: 1, heartbeatAgeMs: 3000, inFlight, lastRequest: null });
    const kept = recent.list();
    assert.equal(kept.length, 30);
    assert.deepEqual(
      [kept[0]?.name, kept[0]?.about],
      ['worker.unresponsive', { slot: 49, pid: 1, heartbeatAgeMs: 3000, lastRequest: null }],
    );
  });

  it('is not what was to be expected, nor what happens all the time, and no text is without end', () => {
    const events = new Events();
    const recent = new EventBuffer(events);
    events.emit('worker.exited', { slot: 0, pid: 1, code: 0, signal: null, expected: true });
    events.emit('worker.forked', { slot: 0, pid: 1, phase: 0 });
    events.emit('phase.aborted', { phase: 1, reason: 'x'.repeat(10_000) });
    const kept = recent.list();
    assert.deepEqual(
      kept.map(({ name }) => name),
      ['phase.aborted'],
    );
    assert.equal(String(kept[0]?.about.reason).length, 300);
  });
});

describe('what has happened in the job processor', () => {
  it('is told as it happens, and kept by the primary among the rest', () => {
    const [ofProcessor, ofPrimary] = [new Events(), new Events()];
    const recent = new EventBuffer(ofPrimary);
    onJobEvents(ofProcessor, (event) => recent.add(event));
    ofProcessor.emit('dead.dropped', { queue: 'mailer', count: 3, reason: 'limit' });
    ofProcessor.emit('job.succeeded', { id: 'a', class: 'A', queue: 'mailer', durationMs: 1 });
    ofPrimary.emit('phase.started', { phase: 1 });
    assert.deepEqual(
      recent.list().map(({ name, about }) => [name, about]),
      [
        ['phase.started', { phase: 1 }],
        ['dead.dropped', { queue: 'mailer', count: 3, reason: 'limit' }],
      ],
    );
  });
});
