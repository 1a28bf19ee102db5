import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fit, table, width } from '../../lib/support/text-table';

describe('tables for terminals', () => {
  it('have columns as wide as their widest cell, and numbers to the right', () => {
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

  it('count columns as a terminal does', () => {
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

  it('cut the last column to the terminal, but not to nothing', () => {
    const rows = [
      ['id', 'error'],
      ['1', 'a'.repeat(200)],
    ];
    assert.equal(table(rows, 60)[1], ` 1  ${'a'.repeat(55)}…`);
    assert.equal(table(rows, 5)[1], ` 1  ${'a'.repeat(19)}…`);
    assert.equal(table(rows)[1]?.length, 204);
  });

  it('fit any text into any width', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, columns) => {
        const cut = fit(text, columns);
        assert.ok(width(cut) <= columns);
        assert.ok(cut === text ? width(text) <= columns : cut.endsWith('…') && text.startsWith(cut.slice(0, -1)));
      }),
    );
  });
});
