import assert from 'node:assert/strict';
import { formatDuration, formatSpan, fromNow } from '../../lib/support/duration';

const [S, MIN, H, D] = [1000, 60_000, 3_600_000, 86_400_000];

describe('durations as text', () => {
  it('have one unit when they are short forms', () => {
    for (const [ms, text] of [
      [-5, '0 ms'],
      [0, '0 ms'],
      [999, '999 ms'],
      [1649, '2 s'],
      [90 * S, '90 s'],
      [2 * MIN, '2 min'],
      [90 * MIN, '90 min'],
      [2 * H - S, '2 h'],
      [30 * H, '30 h'],
      [12 * D, '12 d'],
    ] as const)
      assert.equal(formatDuration(ms), text);
  });

  it('can be relative to now', () => {
    const now = Date.now();
    for (const [ms, text] of [
      [0, 'now'],
      [-999, 'now'],
      [5 * MIN, 'in 5 min'],
      [-3 * S, '3 s ago'],
    ] as const)
      assert.equal(fromNow(new Date(now + ms), now), text);
  });

  it('have two units when they are spans', () => {
    for (const [ms, text] of [
      [0, '0 s'],
      [999, '0 s'],
      [59 * S, '59 s'],
      [62 * MIN, '1 h 2 min'],
      [3 * H + 12 * MIN + 40 * S, '3 h 12 min'],
      [2 * D + 5 * MIN, '2 d 0 h'],
    ] as const)
      assert.equal(formatSpan(ms), text);
  });
});
