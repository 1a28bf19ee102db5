import assert from 'node:assert/strict';
import { STOP_PHASES } from '../../lib/core/shutdown';
import { Deadline, type DeadlinePart } from '../../lib/support/deadline';

/** @returns the time that a phase gets, s, rounded, when `leftMs` of the stop's deadline is left. */
const phase = (leftMs: number, name: keyof typeof STOP_PHASES, override: DeadlinePart = {}) =>
  Math.round(
    Deadline.after(leftMs)
      .part({ ...STOP_PHASES[name], ...override })
      .remaining() / 1000,
  );

describe("the table of a stop's deadline", () => {
  it('caps a phase in a long stop, and gives it a share of a short one', () => {
    assert.equal(phase(10_000_000, 'abortedJobs', { maxMs: 20_000 }), 20);
    assert.equal(phase(20_000, 'abortedJobs', { maxMs: 20_000 }), 10);
  });

  it('reserves time for the later phases, but never all of it', () => {
    assert.equal(phase(100_000, 'runningJobs'), 97);
    assert.equal(phase(4000, 'runningJobs'), 2);
  });

  it('gives a phase that must be tried its minimum even after the deadline, and the others nothing', () => {
    assert.equal(phase(0, 'embeddedServers'), 2);
    assert.equal(phase(0, 'lastAnswers'), 1);
    for (const name of ['lameDuck', 'quietGap', 'drain', 'handOff', 'runningJobs', 'mails'] as const)
      assert.equal(phase(0, name), 0, name);
  });
});
