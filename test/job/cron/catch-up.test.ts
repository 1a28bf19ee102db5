import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type CatchUpPolicy, catchUp, USUAL_LIMITS } from '../../../lib/job/cron/cron-service';
import { Schedule } from '../../../lib/job/cron/schedule';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Of every kind: fixed times, intervals, each minute, one day in a year. */
const SPECS = ['* * * * *', '*/7 * * * *', '30 2 * * *', '0 6,18 * * 1-5', '0 0 13 * 5', '59 23 31 12 *'];

describe('catching up', () => {
  it('treats every tick since the last one that was settled as the policy says', () => {
    const specs = fc.constantFrom(...SPECS);
    const moment = fc.date({ min: new Date('2026-01-01'), max: new Date('2027-01-01'), noInvalidDate: true });
    const policy = fc.constantFrom<CatchUpPolicy>('skip', 'once', 'all');
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu');
    const span = fc.oneof(fc.integer({ min: 0, max: 3 * MINUTE }), fc.integer({ min: 0, max: 30 * HOUR }));
    const grace = fc.constantFrom(0, MINUTE, HOUR);
    fc.assert(
      fc.property(specs, zone, moment, span, policy, grace, fc.integer({ min: 1, max: 40 }), (...given) => {
        const [spec, timeZone, settledUntil, spanMs, policy, graceMs, limit] = given;
        const now = new Date(settledUntil.getTime() + spanMs);
        const schedule = new Schedule(spec, timeZone);
        const all: Date[] = [];
        for (let tick = schedule.next(settledUntil); tick && tick <= now; tick = schedule.next(tick)) all.push(tick);
        const plan = catchUp(schedule, settledUntil, now, { policy, graceMs, limit });

        const kept = all.slice(-limit);
        const onTime = (tick: Date) => now.getTime() - tick.getTime() <= graceMs;
        const enqueued = kept.filter((tick) => {
          if (policy === 'all') return true;
          return tick === kept.at(-1) && (policy === 'once' || onTime(tick));
        });
        assert.deepEqual(plan.ticks, enqueued);
        assert.deepEqual(plan.settledUntil, all.at(-1));
        assert.equal(plan.limited, all.length > limit);
        assert.equal(plan.missed, kept.filter((tick) => !(enqueued.includes(tick) && onTime(tick))).length);
        assert.equal(plan.caughtUp, enqueued.filter((tick) => !onTime(tick)).length);
      }),
      { numRuns: 60 },
    );
  });

  it('drops ticks beyond the limit, and says so, without computing them one by one', () => {
    let steps = 0;
    class CountedSchedule extends Schedule {
      override next(after: Date): Date | undefined {
        steps++;
        return super.next(after);
      }
    }
    const [from, now] = [new Date('2020-01-01T00:00Z'), new Date('2026-01-01T00:00:00.300Z')];
    const options = { policy: 'all', ...USUAL_LIMITS } as const;
    const plan = catchUp(new CountedSchedule('* * * * * *', 'UTC'), from, now, options);
    assert.equal(plan.ticks.length, 1000);
    assert.equal(plan.ticks.at(-1)?.toISOString(), '2026-01-01T00:00:00.000Z');
    assert.deepEqual([plan.limited, plan.missed, plan.caughtUp], [true, 940, 940]);
    assert.ok(steps < 5000, `${steps} steps through six years of seconds`);
  });
});
