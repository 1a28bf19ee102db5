import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatDuration, formatSpan, fromNow } from '../../lib/support/duration';
import { byTextAndNumber, compareText, didYouMean, escapeControls, printableLines } from '../../lib/support/text';
import { table, truncate, width } from '../../lib/support/text-table';

const KNOWN = ['retry', 'scheduled', 'dead', 'waiting', 'busy', 'WelcomeEmailJob'];

describe('the closest word', () => {
  it('is the one that was probably meant', () => {
    for (const [word, meant] of [
      ['retry', 'retry'],
      ['rtry', 'retry'],
      ['rerty', 'retry'],
      ['daed', 'dead'],
      ['DEAD', 'dead'],
      ['schedul', 'scheduled'],
      ['sheduled', 'scheduled'],
      ['wait', 'waiting'],
      ['WelcomEmailJob', 'WelcomeEmailJob'],
      ['welcome', 'WelcomeEmailJob'],
      ['we', undefined],
      ['nonsense', undefined],
      ['', undefined],
    ] as const)
      assert.equal(didYouMean(word, KNOWN), meant, word);
  });
});

describe('text for a terminal', () => {
  it('has its control characters escaped', () => {
    for (const [text, shown] of [
      ['plain', 'plain'],
      ['\x1b[2J\x1b]0;title\x07', '\\x1b[2J\\x1b]0;title\\x07'],
      ['a\r\nb\tc', 'a\\r\\nb\\tc'],
      ['\x9b31m\x7f', '\\x9b31m\\x7f'],
      ['user\u202egnp.exe', 'user\\u202egnp.exe'],
      ['한글 🐈 é', '한글 🐈 é'],
    ] as const)
      assert.equal(escapeControls(text), shown);
    assert.deepEqual(printableLines('a\r\n  b\x1b\nc'), ['a', '  b\\x1b', 'c']);
  });

  it('contains no control character, whatever the input', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.doesNotMatch(escapeControls(text), /\p{Cc}/u);
      }),
    );
  });
});

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

describe('the order of strings', () => {
  it('follows their code units', () => {
    assert.deepEqual(['b', 'a10', '', 'a2', 'a'].sort(compareText), ['', 'a', 'a10', 'a2', 'b']);
    assert.equal(compareText('a', 'a'), 0);
  });

  it('sorts numbers by value in byTextAndNumber', () => {
    const names = ['web.10', 'web.2', 'web', 'web.2b', 'api', '7', 'web.02', 'web.2.1'];
    const sorted = ['7', 'api', 'web', 'web.02', 'web.2', 'web.2.1', 'web.2b', 'web.10'];
    assert.deepEqual(names.sort(byTextAndNumber), sorted);
    assert.equal(byTextAndNumber('web.1', 'web.1'), 0);
    assert.equal(byTextAndNumber(`a${'9'.repeat(400)}`, `a${'9'.repeat(401)}`), -1);
  });
});

describe('tables for terminals', () => {
  it('have columns as wide as their widest cell, and align numbers to the right', () => {
    assert.deepEqual(
      table([
        ['name', 'size', 'due', 'note'],
        ['a', '1,204', 'in 5 min', 'x'],
        ['bob', '7', 'now', ''],
        ['c', '–', '12 s ago', 'long note'],
      ]),
      [
        'name   size       due  note',
        'a     1,204  in 5 min  x',
        'bob       7       now',
        'c         –  12 s ago  long note',
      ],
    );
  });

  it('count the width of characters as a terminal does', () => {
    for (const [text, columns] of [
      ['', 0],
      ['abc', 3],
      ['한글', 4],
      ['漢字かな', 8],
      ['ｗｉｄｅ', 8],
      ['🐈', 2],
      ['e\u0301', 1],
      ['naïve – “q”', 11],
      ['a\u200db', 2],
    ] as const)
      assert.equal(width(text), columns, text);
    const lines = table([
      ['who', 'what'],
      ['김하늘', 'x'],
      ['🐈', 'y'],
      ['ada', 'z'],
    ]);
    assert.deepEqual(lines, ['who     what', '김하늘  x', '🐈      y', 'ada     z']);
  });

  it('cut lines at the width of the terminal, and nothing in a pipe', () => {
    const rows = [
      ['id', 'arguments', 'error'],
      ['1', 'x'.repeat(700), 'Error: no such invoice'],
    ];
    const [, cut = ''] = table(rows, 60);
    assert.equal(cut, ` 1  ${'x'.repeat(55)}…`);
    const [heading = '', line = ''] = table(rows);
    assert.ok(heading.length < 60, 'a column is not padded to one long cell');
    assert.ok(line.endsWith(`${'x'.repeat(700)}  Error: no such invoice`));
  });

  it('truncate any text to any width', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, columns) => {
        const cut = truncate(text, columns);
        assert.ok(width(cut) <= columns);
        assert.ok(cut === text ? width(text) <= columns : cut.endsWith('…') && text.startsWith(cut.slice(0, -1)));
      }),
    );
  });
});
