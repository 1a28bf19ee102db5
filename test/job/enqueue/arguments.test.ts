import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ArgumentSerializer } from '../../../lib/job/definition/setup';
import { deserializeArguments } from '../../../lib/job/record/argument-decoder';
import { type ArgumentCodec, serializeArguments } from '../../../lib/job/record/arguments';
import { UnreadableJobError } from '../../../lib/job/record/payload';

class Money {
  constructor(
    readonly cents: bigint,
    readonly at: Date,
  ) {}
}

const money: ArgumentSerializer<Money> = {
  name: 'money',
  matches: (value) => value instanceof Money,
  serialize: ({ cents, at }) => ({ cents: String(cents), at: at.getTime() }),
  deserialize: (json) => {
    const { cents, at } = json as { cents: string; at: number };
    return new Money(BigInt(cents), new Date(at));
  },
};
const set: ArgumentSerializer<Set<unknown>> = {
  name: 'set',
  matches: (value) => value instanceof Set,
  serialize: (value) => [...value] as never,
  // Asynchronous, like one that has to look something up.
  deserialize: async (json) => new Set(json as unknown[]),
};
const serializers = [money, set] as readonly ArgumentSerializer[];

/** Serializes and deserializes by way of text, as for a job. */
async function roundTrip(args: readonly unknown[], codec?: ArgumentCodec): Promise<readonly unknown[]> {
  const text = JSON.stringify(serializeArguments('AnyJob', args, codec));
  return deserializeArguments(JSON.parse(text), codec);
}

describe('arguments of jobs', () => {
  const circle: unknown[] = [];
  circle.push({ again: circle });
  class Odd {}
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /argument 1 is undefined/],
    [{ a: { b: [0, undefined] } }, /argument 1 \.a\.b\[1\] is undefined/],
    // A hole in an array, which JSON would fill.
    [new Array(1), /argument 1 \[0\] is undefined/],
    [{ f() {} }, /argument 1 \.f is a function/],
    [Symbol('s'), /is a symbol/],
    [{ [Symbol('s')]: 1 }, /has a symbol as a key/],
    [Number.NaN, /is NaN/],
    [[Number.POSITIVE_INFINITY], /\[0\] is Infinity/],
    [{ at: new Date(Number.NaN) }, /\.at is an invalid Date/],
    [new Map(), /is an instance of Map/],
    [Buffer.from('x'), /is an instance of Buffer/],
    [new Odd(), /is an instance of Odd/],
    [new (class extends Date {})(), /is an instance of an unnamed class/],
    [circle, /\[0\]\.again contains itself/],
    ['\ud800', /is text with half a surrogate pair/],
    ['a\0b', /has a NUL/],
    [{ 'a\0': 1 }, /has a key that has a NUL/],
  ];
  for (const [value, message] of refused) {
    it(`are refused with class and path: ${message.source}`, () => {
      assert.throws(
        () => serializeArguments('PayJob', [value]),
        (error) =>
          error instanceof TypeError && error.message.startsWith('PayJob: argument 1') && message.test(error.message),
      );
    });
  }

  it('are refused with the number of the wrong one', () => {
    assert.throws(() => serializeArguments('PayJob', ['fine', Number.NaN]), /PayJob: argument 2 is NaN/);
  });

  it('are refused when they are nested too deeply, without a stack overflow', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    assert.throws(() => serializeArguments('PayJob', [deep]), /nested deeper than 100/);
  });

  it('are returned uncopied when they are plain JSON', () => {
    const shared = { twice: 1 };
    const args = ['né😀', shared, [shared, { more: shared }], 0, true, null, Object.create(null)];
    assert.equal(serializeArguments('AnyJob', args), args);
    assert.equal(deserializeArguments(args), args);
  });

  it('are copied only along the path to a value that needs a tag, and never changed', () => {
    const plain = { a: [1] };
    const args = [plain, { at: new Date(0), plain }] as const;
    const json = serializeArguments('AnyJob', args);
    assert.deepEqual(json, [{ a: [1] }, { at: { $date: '1970-01-01T00:00:00.000Z' }, plain }]);
    assert.equal(json[0], plain);
    assert.deepEqual(args, [plain, { at: new Date(0), plain }]);
    const back = deserializeArguments(json) as readonly unknown[];
    assert.deepEqual(back, args);
    assert.equal(back[0], plain);
    assert.deepEqual(json[1], { at: { $date: '1970-01-01T00:00:00.000Z' }, plain });
  });

  it("keep an app's own objects whose keys look like tags", async () => {
    const args = [{ $date: 'tomorrow' }, { $$date: 1 }, { $model: ['User', 1] }, { $: { $set: 2 } }, { $a: 1, $b: 2 }];
    assert.deepEqual(await roundTrip(args), args);
  });

  it('keep unknown keys that begin with $, as plain producers may write them', () => {
    assert.deepEqual(deserializeArguments([{ $set: { $bigint: '1' } }]), [{ $set: 1n }]);
  });

  it("use the app's serializers, the first that matches, which may be asynchronous", async () => {
    const args = [new Money(5n, new Date(7)), { of: [new Set([1, 'a'])] }, { $value: ['money', 1] }];
    const back = await roundTrip(args, { serializers });
    assert.deepEqual(back, args);
    assert.ok(back[0] instanceof Money);
    assert.throws(() => serializeArguments('PayJob', args), /argument 1 is an instance of Money/);
    const two = [{ ...set, name: 'first' }, set] as readonly ArgumentSerializer[];
    assert.deepEqual(serializeArguments('PayJob', [new Set()], { serializers: two }), [{ $value: ['first', []] }]);
  });

  it('cannot be read without their serializer, which the error names', () => {
    const json = serializeArguments('AnyJob', [new Set()], { serializers });
    assert.throws(() => deserializeArguments(json), /no argument serializer "set" in this app/);
  });

  it('are refused when a serializer returns its input', () => {
    const lazy = { ...set, serialize: (value: Set<unknown>) => value as never } as ArgumentSerializer;
    assert.throws(() => serializeArguments('AnyJob', [new Set()], { serializers: [lazy] }), /contains itself/);
  });

  for (const nonsense of [
    { $date: 'soon' },
    { $date: 5 },
    { $bigint: '1e3' },
    { $number: 'NaN' },
    { $model: 'User' },
    { $value: 1 },
  ]) {
    it(`are unreadable for good: ${JSON.stringify(nonsense)}`, () => {
      assert.throws(() => deserializeArguments([{ deep: nonsense }]), UnreadableJobError);
    });
  }

  it('come back unchanged, whatever they are', async () => {
    const key = fc.oneof(
      fc.constantFrom('$date', '$$date', '$model', '$value', '$', '$$', '__proto__', 'then', 'constructor', 'toJSON'),
      fc.string({ unit: 'grapheme', maxLength: 5 }).filter((text) => !text.includes('\0')),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.constant(-0),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.bigInt(),
        fc.date({ noInvalidDate: true }),
        fc.tuple(fc.bigInt(), fc.date({ noInvalidDate: true })).map(([cents, at]) => new Money(cents, at)),
        fc.array(fc.integer()).map((all) => new Set(all)),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.array(fc.tuple(key, tie('value')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
        fc.tuple(key, tie('value')).map(([only, inner]) => Object.fromEntries([[only, inner]])),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 4 }), async (args) => {
        assert.deepStrictEqual(await roundTrip(args, { serializers }), args);
      }),
      { numRuns: 1000 },
    );
  });
});
