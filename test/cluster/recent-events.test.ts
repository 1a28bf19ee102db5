import assert from 'node:assert/strict';
import { EventBuffer } from '../../lib/cluster/primary/event-buffer';
import { Events } from '../../lib/core/events';
import { onNotable } from '../../lib/core/notable-events';

describe('the recent events of a tree', () => {
  it('are the newest 30, newest first, with their plain values only', () => {
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

  it('leave out expected and routine events, and long texts are truncated', () => {
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

describe('the recent events of the job processor', () => {
  it('are sent as they happen, and kept by the primary among its own', () => {
    const [ofProcessor, ofPrimary] = [new Events(), new Events()];
    const recent = new EventBuffer(ofPrimary);
    onNotable(ofProcessor, ['processor', 'tree'], (event) => recent.add(event));
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
