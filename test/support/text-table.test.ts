import assert from 'node:assert/strict';
import fc from 'fast-check';
import { table, truncate, width } from '../../lib/support/text-table';

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
