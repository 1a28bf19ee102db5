import assert from 'node:assert/strict';
import fc from 'fast-check';
import { escapeControls, printableLines } from '../../lib/support/terminal-text';

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
