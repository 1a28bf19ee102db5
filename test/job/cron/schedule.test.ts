import assert from 'node:assert/strict';
import fc from 'fast-check';
import { UserError } from '../../../lib/core/errors';
import { Schedule } from '../../../lib/job/cron/schedule';
import { clockChanges, dailyExpression, expression, textOf, ticksByModel } from './cron-model';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const iso = (dates: readonly Date[]) => dates.map((date) => date.toISOString().replace(':00.000Z', 'Z'));

/** What the library finds, one tick after the other. */
function forward(schedule: Schedule, after: Date, until: Date): Date[] {
  const found: Date[] = [];
  for (let tick = schedule.next(after); tick && tick <= until; tick = schedule.next(tick)) found.push(tick);
  return found;
}

/** Zones whose clocks change, one for each way to do so. */
const zones = [
  ...new Map(
    Intl.supportedValuesOf('timeZone').map((zone) => {
      const changes = clockChanges(zone, new Date('2026-01-01T00:00Z'), new Date('2027-01-01T00:00Z'));
      const local = changes.map((change) => change.toLocaleString('sv', { timeZone: zone }));
      return [`${changes} ${local}`, { zone, changes }] as const;
    }),
  ).values(),
].filter(({ changes }) => changes.length > 0);

describe('the schedule', () => {
  // The clocks of Berlin: 2026-03-29 02:00 is 03:00, 2026-10-25 03:00 is 02:00 again. Nuuk's move an
  // hour before midnight.
  const table: readonly [string, string, string, string, readonly string[]][] = [
    [
      'a fixed time that spring leaves out: once, right after the gap',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-03-28T00:00Z',
      ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ],
    [
      'a fixed time that autumn repeats: once, the first time',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-10-24T00:00Z',
      ['2026-10-24T00:30Z', '2026-10-25T00:30Z', '2026-10-26T01:30Z'],
    ],
    [
      'every half hour goes on through the gap',
      '*/30 * * * *',
      'Europe/Berlin',
      '2026-03-29T00:00Z',
      ['2026-03-29T00:30Z', '2026-03-29T01:00Z', '2026-03-29T01:30Z'],
    ],
    [
      'and through the repeated hour',
      '*/30 * * * *',
      'Europe/Berlin',
      '2026-10-25T00:00Z',
      ['2026-10-25T00:30Z', '2026-10-25T01:00Z', '2026-10-25T01:30Z', '2026-10-25T02:00Z'],
    ],
    [
      'a gap before midnight: the tick is the next day’s first',
      '30 23 * * *',
      'America/Nuuk',
      '2026-03-28T00:00Z',
      ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ],
    ['a leap day', '0 0 29 2 *', 'UTC', '2026-01-01T00:00Z', ['2028-02-29T00:00Z', '2032-02-29T00:00Z']],
  ];
  for (const [what, spec, zone, after, expected] of table) {
    it(`${what} (${spec} ${zone})`, () => {
      const schedule = new Schedule(spec, zone);
      const until = new Date(`${expected.at(-1)}`);
      assert.deepEqual(iso(forward(schedule, new Date(after), until)), expected);
      assert.deepEqual(iso(schedule.ticks(new Date(after), until, 100)), expected);
    });
  }

  it('takes seconds as a first of six fields', () => {
    const after = new Date('2026-01-01T00:00:00.500Z');
    const until = new Date('2026-01-01T00:00:20.000Z');
    assert.deepEqual(
      new Schedule('*/10 * * * * *', 'UTC').ticks(after, until, 9).map((tick) => tick.toISOString()),
      ['2026-01-01T00:00:10.000Z', '2026-01-01T00:00:20.000Z'],
    );
  });

  it('means what cron means', () => {
    const moment = fc.date({ min: new Date('2024-01-01'), max: new Date('2030-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(expression, moment, (given, after) => {
        const until = new Date(after.getTime() + 2 * DAY);
        const schedule = new Schedule(textOf(given), 'UTC');
        assert.deepEqual(iso(forward(schedule, after, until)), iso(ticksByModel(given, 'UTC', after, until)));
      }),
      { numRuns: 50 },
    );
  });

  it('means it where clocks change, in every way that they do: each fixed time once a day', () => {
    assert.ok(zones.length > 15, `${zones.length} ways`);
    const changes = zones.flatMap(({ zone, changes }) => changes.map((change) => ({ zone, change })));
    fc.assert(
      fc.property(dailyExpression, fc.constantFrom(...changes), (given, { zone, change }) => {
        const after = new Date(change.getTime() - 20 * HOUR);
        const until = new Date(change.getTime() + 20 * HOUR);
        const schedule = new Schedule(textOf(given), zone);
        assert.deepEqual(iso(forward(schedule, after, until)), iso(ticksByModel(given, zone, after, until)));
      }),
      { numRuns: 50 },
    );
  });

  it('finds the latest ticks looking back, the same as looking ahead', () => {
    const zone = fc.constantFrom('UTC', ...zones.map((known) => known.zone));
    const moment = fc.date({ min: new Date('2026-01-01'), max: new Date('2027-01-01'), noInvalidDate: true });
    const hours = fc.integer({ min: 0, max: 60 });
    fc.assert(
      fc.property(
        expression,
        zone,
        moment,
        hours,
        fc.integer({ min: 1, max: 50 }),
        (given, zone, after, span, limit) => {
          const until = new Date(after.getTime() + span * HOUR);
          const schedule = new Schedule(textOf(given), zone);
          const all = forward(schedule, after, until);
          assert.deepEqual(iso(schedule.ticks(after, until, limit)), iso(all.slice(-limit)));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('includes a tick at the very end and leaves out one at the very beginning', () => {
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
