import assert from 'node:assert/strict';
import fc from 'fast-check';
import { UserError } from '../../../lib/core/errors';
import { Schedule } from '../../../lib/job/cron/schedule';

const HOUR = 3_600_000;
const iso = (dates: readonly Date[]) => dates.map((date) => date.toISOString().replace(':00.000Z', 'Z'));

/** The ticks that `next` finds one after the other. */
function forward(schedule: Schedule, after: Date, until: Date): Date[] {
  const found: Date[] = [];
  for (let tick = schedule.next(after); tick && tick <= until; tick = schedule.next(tick)) found.push(tick);
  return found;
}

describe('the schedule', () => {
  // In Berlin 2026-03-29 02:00 becomes 03:00, and 2026-10-25 03:00 becomes 02:00. In Nuuk clocks change an hour before
  // midnight.
  const table: readonly [string, string, string, string, readonly string[]][] = [
    [
      'runs a fixed time that spring skips once, right after the gap',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-03-28T00:00Z',
      ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ],
    [
      'runs a fixed time that autumn repeats once, the first time',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-10-24T00:00Z',
      ['2026-10-24T00:30Z', '2026-10-25T00:30Z', '2026-10-26T01:30Z'],
    ],
    [
      'runs every half hour before and after the gap',
      '*/30 * * * *',
      'Europe/Berlin',
      '2026-03-29T00:00Z',
      ['2026-03-29T00:30Z', '2026-03-29T01:00Z', '2026-03-29T01:30Z'],
    ],
    [
      'runs every half hour in both of the repeated hours',
      '*/30 * * * *',
      'Europe/Berlin',
      '2026-10-25T00:00Z',
      ['2026-10-25T00:30Z', '2026-10-25T01:00Z', '2026-10-25T01:30Z', '2026-10-25T02:00Z'],
    ],
    [
      'runs every hour in both of the repeated hours',
      '0 * * * *',
      'Europe/Berlin',
      '2026-10-24T23:30Z',
      ['2026-10-25T00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z'],
    ],
    [
      'leaves out a gap that ends at midnight if it runs at an interval',
      '*/30 23 * * *',
      'America/Nuuk',
      '2026-03-28T00:00Z',
      ['2026-03-28T01:00Z', '2026-03-28T01:30Z', '2026-03-30T00:00Z', '2026-03-30T00:30Z'],
    ],
    [
      'runs at the start of the next day if the gap ends at midnight',
      '30 23 * * *',
      'America/Nuuk',
      '2026-03-28T00:00Z',
      ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ],
    [
      'runs on either, if both a day and a weekday are given',
      '0 12 13 * 5',
      'UTC',
      '2026-04-04T00:00Z',
      ['2026-04-10T12:00Z', '2026-04-13T12:00Z', '2026-04-17T12:00Z'],
    ],
    [
      'runs both of its times on the day on which spring skips one',
      '30 2,6 * * *',
      'Europe/Berlin',
      '2026-03-29T00:00Z',
      ['2026-03-29T01:00Z', '2026-03-29T04:30Z', '2026-03-30T00:30Z'],
    ],
    ['runs on leap days only', '0 0 29 2 *', 'UTC', '2026-01-01T00:00Z', ['2028-02-29T00:00Z', '2032-02-29T00:00Z']],
  ];
  for (const [what, spec, zone, after, expected] of table) {
    it(`${what} (${spec} ${zone})`, () => {
      const schedule = new Schedule(spec, zone);
      const until = new Date(`${expected.at(-1)}`);
      assert.deepEqual(iso(forward(schedule, new Date(after), until)), expected);
      assert.deepEqual(iso(schedule.ticks(new Date(after), until, 100)), expected);
    });
  }

  it('takes the first of six fields for seconds', () => {
    const after = new Date('2026-01-01T00:00:00.500Z');
    const until = new Date('2026-01-01T00:00:20.000Z');
    assert.deepEqual(
      new Schedule('*/10 * * * * *', 'UTC').ticks(after, until, 9).map((tick) => tick.toISOString()),
      ['2026-01-01T00:00:10.000Z', '2026-01-01T00:00:20.000Z'],
    );
  });

  it('finds the same ticks looking back as looking ahead', () => {
    const specs = [...table.map(([, spec]) => spec), '0 6,18 * * *', '15 */7 * * 1-5', '0 0 13 * 5', '59 23 31 12 *'];
    const moment = fc.date({ min: new Date('2026-01-01'), max: new Date('2027-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(
        fc.constantFrom(...specs),
        fc.constantFrom('UTC', 'Europe/Berlin', 'America/Nuuk', 'Australia/Lord_Howe'),
        moment,
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 50 }),
        (spec, zone, after, span, limit) => {
          const until = new Date(after.getTime() + span * HOUR);
          const schedule = new Schedule(spec, zone);
          const all = forward(schedule, after, until);
          assert.deepEqual(iso(schedule.ticks(after, until, limit)), iso(all.slice(-limit)));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('includes a tick at the end of the span, and leaves out one at its beginning', () => {
    const schedule = new Schedule('0 * * * *', 'UTC');
    const [one, two] = [new Date('2026-01-01T01:00Z'), new Date('2026-01-01T02:00Z')];
    assert.deepEqual(schedule.ticks(one, two, 9), [two]);
    assert.deepEqual(schedule.ticks(two, two, 9), []);
    assert.deepEqual(schedule.ticks(two, one, 9), []);
  });

  const refused: readonly [string, string, RegExp][] = [
    ['61 * * * *', 'UTC', /^cron is '61 \* \* \* \*': Invalid value for minute: 61 \(give five fields/],
    ['every day', 'UTC', /^cron is 'every day'/],
    ['', 'UTC', /^cron is ''/],
    ['* * * * * * 2027', 'UTC', /^cron is '\* \* \* \* \* \* 2027'/],
    ['@reboot', 'UTC', /^cron is '@reboot'/],
    ['0 0 30 2 *', 'UTC', /^cron is '0 0 30 2 \*', which never occurs \(give/],
    ['0 3 * * *', 'Mars/Olympus', /^timeZone is 'Mars\/Olympus'; give an IANA name, such as Europe\/Berlin, or UTC$/],
  ];
  for (const [spec, zone, message] of refused) {
    it(`refuses '${spec}' in ${zone}`, () => {
      assert.throws(
        () => new Schedule(spec, zone),
        (error: Error) => error instanceof UserError && message.test(error.message),
      );
    });
  }
});
