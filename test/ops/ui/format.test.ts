import assert from 'node:assert/strict';
import { LOCALES } from '../../../lib/core/config';
import { Formatter } from '../../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../../lib/ops/ui/texts';

const formatterOf = (locale: 'en' | 'ko') => new Formatter(pageTexts(TEXTS).in(locale));
const DAY_MS = 86_400_000;

describe('days on the pages', () => {
  for (const locale of LOCALES) {
    it(`have the format of the language: ${locale}`, () => {
      const known = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', timeZone: 'UTC' });
      const format = formatterOf(locale);
      for (let n = 0; n < 366; n++) {
        const date = new Date(Date.UTC(2028, 0, 1) + n * DAY_MS);
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
