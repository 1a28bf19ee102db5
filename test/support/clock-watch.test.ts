import assert from 'node:assert/strict';
import { ClockWatch } from '../../lib/support/clock-watch';
import { until } from './until';

describe('the clock watch', () => {
  it('reports a clock that is set forward or back, and no small adjustment', async () => {
    let offsetMs = 0;
    let looks = 0;
    const jumps: number[] = [];
    const wall = () => {
      looks++;
      return performance.now() + offsetMs;
    };
    const watch = new ClockWatch({ onJump: (ms) => jumps.push(ms), wall, everyMs: 2 });
    const looked = async () => {
      const from = looks;
      await until('it has checked', () => looks > from + 1);
    };
    watch.start();
    await looked();
    offsetMs += 900;
    await looked();
    assert.deepEqual(jumps, [], 'NTP may adjust it this far');
    offsetMs += 3_600_000;
    await looked();
    offsetMs -= 7_200_000;
    await looked();
    watch.stop();
    assert.deepEqual(jumps, [3_600_000, -7_200_000]);
  });
});
