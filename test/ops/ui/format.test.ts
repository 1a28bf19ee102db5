import assert from 'node:assert/strict';
import { LOCALES } from '../../../lib/core/config';
import { Formatter } from '../../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../../lib/ops/ui/texts';

const NOW = new Date('2026-03-12T14:02:11Z');
const formatterOf = (locale: 'en' | 'ko') => new Formatter(pageTexts(TEXTS).in(locale), NOW);
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

describe('days on the pages', () => {
  for (const locale of LOCALES) {
    it(`have the format of the language: ${locale}`, () => {
      const known = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', timeZone: 'UTC' });
      const format = formatterOf(locale);
      for (let n = 0; n < 366; n++) {
        const date = new Date(Date.UTC(2028, 0, 1) + n * DAY);
        assert.equal(format.day(date), known.format(date));
      }
    });
  }

  it('precede the time, and become a full date when they are long ago', () => {
    const [date, now] = [new Date('2026-03-12T14:02:11Z'), new Date('2026-03-14T00:00:00Z')];
    assert.equal(formatterOf('en').stamp(date, now), 'Mar 12, 14:02:11');
    assert.equal(formatterOf('ko').stamp(date, now), '3월 12일 14:02:11');
    assert.equal(formatterOf('en').when(date, now), 'Mar 12');
    assert.equal(formatterOf('en').when(date, date), '14:02');
    assert.equal(formatterOf('en').when(date, new Date('2027-03-14T00:00:00Z')), '2026-03-12');
  });
});

it('numbers on the pages have their unit, and few digits', () => {
  const { size, share, ping, memory, count, counted, percent } = formatterOf('en');
  const MIB = 1_048_576;
  for (const [told, texts] of [
    [[99, 100, 6149, 999_949, 999_950].map(size), ['99 B', '0.1 kB', '6.1 kB', '999.9 kB', '1.0 MB']],
    [[0, 0.0025, 0.031, 0.35].map(share), ['0 %', '0.25 %', '3.1 %', '35 %']],
    [[0.44, 9.9, 12.3].map(ping), ['0.4 ms', '9.9 ms', '12 ms']],
    [[1.2 * MIB, 72.4 * MIB].map(memory), ['1.2 MB', '72 MB']],
    [[0, 999, 1_234_567, null].map(count), ['0', '999', '1\u202f234\u202f567', '–']],
    [[0, 9999, 10_000, null].map(counted), ['0', '9\u202f999', '10\u202f000+', '–']],
    [[0.854].map((one) => String(percent(one))), ['85']],
  ] as const)
    assert.deepEqual(told, texts);
});

describe('durations in words', () => {
  const plain = (text: string) => text.replaceAll('\u00a0', ' ');

  it('have at most two units, and are a dash when unknown', () => {
    const english = formatterOf('en');
    const cases: [number | null, string][] = [
      [null, '–'],
      [0, '0 ms'],
      [340, '340 ms'],
      [1234, '1.2 s'],
      [9999, '9.9 s'],
      [41 * SECOND, '41 s'],
      [4 * MINUTE + 12 * SECOND, '4 min 12 s'],
      [MINUTE, '1 min'],
      [16 * HOUR + 58 * MINUTE + 30 * SECOND, '16 h 58 min'],
      [2 * DAY + 12 * HOUR, '2 d 12 h'],
      [400 * DAY, '400 d'],
    ];
    for (const [ms, text] of cases) assert.equal(plain(english.span(ms)), text);
    assert.equal(formatterOf('ko').span(4 * MINUTE + 12 * SECOND), '4분 12초');
  });

  it('are relative to now, in the past and in the future', () => {
    const english = formatterOf('en');
    const cases: [number, string][] = [
      [0, 'now'],
      [-500, 'now'],
      [-12 * SECOND, '12 s ago'],
      [-(4 * MINUTE + 50 * SECOND), '4 min ago'],
      [-3 * HOUR, '3 h ago'],
      [-30 * HOUR, 'yesterday'],
      [-2 * DAY, '2 d ago'],
      [5 * SECOND, 'in 5.0 s'],
      [2 * MINUTE + 10 * SECOND, 'in 3 min'],
      [16 * HOUR + 57 * MINUTE + 1, 'in 16 h 58 min'],
    ];
    for (const [ms, text] of cases) assert.equal(plain(english.fromNow(new Date(NOW.getTime() + ms))), text);
    assert.equal(formatterOf('ko').fromNow(new Date(NOW.getTime() - 3 * HOUR)), '3시간 전');
  });
});
