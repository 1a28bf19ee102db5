import assert from 'node:assert/strict';
import path from 'node:path';
import { Formatter } from '../../../lib/ops/ui/format';
import { pageTexts } from '../../../lib/ops/ui/texts';

const FOLDER = path.resolve(__dirname, '../../../lib/ops/locales');
const NOW = new Date('2026-03-12T14:02:11Z');
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

describe('durations in words', () => {
  const words = async (locale: string) => new Formatter(pageTexts([FOLDER]).in(locale), NOW);
  const plain = (text: string) => text.replaceAll('\u00a0', ' ');

  it('have at most two units, and are a dash when unknown', async () => {
    const english = await words('en');
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
    assert.equal((await words('ko')).span(4 * MINUTE + 12 * SECOND), '4분 12초');
  });

  it('are relative to now, in the past and in the future', async () => {
    const english = await words('en');
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
    assert.equal((await words('ko')).fromNow(new Date(NOW.getTime() - 3 * HOUR)), '3시간 전');
  });
});
