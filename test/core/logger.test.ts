import assert from 'node:assert/strict';
import { isoTime } from '../../lib/core/logger';

describe('the time of a log line', () => {
  it('is what toISOString() says, across minutes, days and back', () => {
    const begun = Date.UTC(2026, 11, 31, 23, 58, 59, 990);
    const moments = Array.from({ length: 400 }, (_, n) => begun + n * 457);
    for (const ms of [0, 1, 59_999, 60_000, ...moments, begun]) moments.push(ms);
    const left = [...moments];
    const time = isoTime(() => left.shift() ?? 0);
    for (const ms of moments) assert.equal(time(), `,"time":"${new Date(ms).toISOString()}"`);
  });
});
