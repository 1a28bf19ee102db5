import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { digestOfArguments } from '../../lib/mailer/delivery/argument-digest';
import { runs, withShortStacks } from './campaign';

/** The arguments of mails that a job sends by `deliverNow`: two mails have the same digest only if their arguments are equal. */
describe('arguments of mails', () => {
  withShortStacks();

  // In a mail -0 reads as 0, and a property that is undefined counts as left out.
  const number = fc.double().map((value) => (Object.is(value, -0) ? 0 : value));
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.constantFrom('', '0', 'null', '[]', '{}', ',', '","', '__proto__', 'number:1', 'itself', 'too deep'),
  );
  const plain = fc.oneof(
    ...[fc.constant(null), fc.boolean(), number, fc.bigInt(), fc.integer({ min: -2, max: 2 })],
    ...[text, text],
    fc.date({ noInvalidDate: true }),
    // The same bytes have the same digest in a Buffer and an ArrayBuffer: a different first byte keeps them apart here.
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from([0, ...bytes])),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Uint8Array.of(1, ...bytes).buffer),
    fc.webUrl({ size: 'xsmall' }).map((url) => new URL(url)),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      plain,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(text, tie('value'), { maxKeys: 3, noNullPrototype: true }),
      fc.array(fc.tuple(text, tie('value')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
      fc.uniqueArray(plain, { maxLength: 3, comparator: isDeepStrictEqual }).map((all) => new Set(all)),
    ),
  }));
  const args = fc.array(value, { maxLength: 3 });

  it('have the same digest when they are equal, whatever the order of their properties', () => {
    fc.assert(
      fc.property(fc.clone(args, 2), ([one, other]) => {
        assert.equal(digestOfArguments(one, {}), digestOfArguments(other.map(turned), {}));
      }),
      runs(3000),
    );
  });

  it('have different digests when they differ in anything', () => {
    fc.assert(
      fc.property(args, args, (one, other) => {
        fc.pre(!isDeepStrictEqual(one, other));
        assert.notEqual(digestOfArguments(one, {}), digestOfArguments(other, {}));
      }),
      runs(6000),
    );
  });

  it('have different digests when one part differs, however deeply nested', () => {
    fc.assert(
      fc.property(value, plain, plain, fc.integer({ min: 0, max: 40 }), (around, one, other, depth) => {
        fc.pre(!isDeepStrictEqual(one, other));
        const name = (inner: unknown) => digestOfArguments([wrapped(inner, around, depth)], {});
        assert.notEqual(name(one), name(other));
      }),
      runs(3000),
    );
  });
});

/** The same value, with the properties of plain objects in reverse order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== 'object' || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const copy = Object.create(prototype as object) as Record<string, unknown>;
  for (const [name, inner] of Object.entries(value).reverse())
    Object.defineProperty(copy, name, { value: turned(inner), enumerable: true, configurable: true, writable: true });
  return copy;
}

function wrapped(inner: unknown, around: unknown, depth: number): unknown {
  let all = inner;
  for (let n = 0; n < depth; n++) all = n % 2 === 0 ? [around, all] : { around, all };
  return all;
}
