import assert from 'node:assert/strict';
import { OutageNotices } from '../../lib/support/outage-notices';

describe('the notices of an outage', () => {
  it('are one for its first failure, and then one a minute that says for how long', () => {
    let now = 0;
    const notices = new OutageNotices(() => now);
    const told: [number, string][] = [];
    const failEverySecondUntil = (seconds: number) => {
      for (; now <= seconds * 1000; now += 1000) {
        const notice = notices.failed();
        if (notice !== undefined) told.push([now / 1000, notice]);
      }
    };
    failEverySecondUntil(150);
    notices.over();
    failEverySecondUntil(155);
    now = 400_000;
    failEverySecondUntil(400);
    assert.deepEqual(told, [
      [0, ''],
      [60, ', for 1 min 0 s now'],
      [120, ', for 2 min 0 s now'],
      [151, ''],
      [400, ''],
    ]);
  });
});
