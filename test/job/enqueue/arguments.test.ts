import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkArguments } from '../../../lib/job/enqueue/arguments';

describe('arguments', () => {
  const circle: unknown[] = [];
  circle.push({ again: circle });
  class Money {}
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /argument 1 is undefined/],
    [{ a: { b: [0, undefined] } }, /argument 1 \.a\.b\[1\] is undefined/],
    // A hole, which JSON would fill.
    [new Array(1), /argument 1 \[0\] is undefined/],
    [{ f() {} }, /argument 1 \.f is a function/],
    [Symbol('s'), /is a symbol/],
    [{ [Symbol('s')]: 1 }, /has a symbol as a key/],
    [10n, /is a bigint/],
    [Number.NaN, /is NaN/],
    [[Number.POSITIVE_INFINITY], /\[0\] is Infinity/],
    [{ at: new Date(0) }, /\.at is an instance of Date/],
    [new Map(), /is an instance of Map/],
    [Buffer.from('x'), /is an instance of Buffer/],
    [new Money(), /is an instance of Money/],
    [circle, /\[0\]\.again contains itself/],
    ['\ud800', /half a surrogate pair/],
    ['a\0b', /NUL/],
    [{ 'a\0': 1 }, /has a key that has a NUL/],
  ];
  for (const [value, message] of refused) {
    it(`refuses what ${message.source} says, naming class and place`, () => {
      assert.throws(
        () => checkArguments('PayJob', [value]),
        (error) =>
          error instanceof TypeError && error.message.startsWith('PayJob: argument 1') && message.test(error.message),
      );
    });
  }

  it('names the argument that is wrong', () => {
    assert.throws(() => checkArguments('PayJob', ['fine', 10n]), /PayJob: argument 2 is a bigint/);
  });

  it('refuses nesting that would break JSON.stringify, without breaking itself', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    assert.throws(() => checkArguments('PayJob', [deep]), /nested deeper than 100/);
  });

  it('lets everything through that JSON gives back as it was', () => {
    const value = fc.jsonValue({ noUnicodeString: false }).filter((json) => !JSON.stringify(json).includes('\\u0000'));
    fc.assert(
      fc.property(fc.array(value), (args) => {
        checkArguments('AnyJob', args);
        assert.deepEqual(JSON.parse(JSON.stringify(args)), JSON.parse(JSON.stringify(args)));
      }),
    );
    const shared = { twice: 1 };
    checkArguments('AnyJob', [shared, [shared, shared], Object.create(null), 'né😀', '__proto__']);
  });
});
