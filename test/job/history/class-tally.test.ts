import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClassTally, COUNTERS, fromFields, HISTOGRAMS, toFields } from '../../../lib/job/history/class-tally';

const tallies = fc
  .record({
    counters: fc.array(fc.nat(1000), { minLength: COUNTERS.length, maxLength: COUNTERS.length }),
    latency: fc.array(fc.nat(10_000_000), { maxLength: 20 }),
    duration: fc.array(fc.nat(10_000_000), { maxLength: 20 }),
  })
  .map(({ counters, ...lengths }) => {
    const tally = new ClassTally();
    COUNTERS.forEach((name, index) => {
      tally[name] = counters[index] ?? 0;
    });
    for (const name of HISTOGRAMS) for (const ms of lengths[name]) tally[name].add(ms);
    return tally;
  });
// What JavaScript keeps out of objects' own keys would be lost in Redis's client as well.
const names = fc.string().filter((name) => name !== '__proto__');

describe('a tally of a class', () => {
  it('comes back from Redis as it went, whatever the class is called', () => {
    fc.assert(
      fc.property(names, tallies, (className, tally) => {
        const fields = Object.fromEntries(toFields(className, tally).map(([field, by]) => [field, String(by)]));
        assert.deepEqual(fromFields(fields).get(className) ?? new ClassTally(), tally);
      }),
    );
  });

  it('is the sum of its parts', () => {
    fc.assert(
      fc.property(tallies, tallies, (a, b) => {
        const hash: Record<string, number> = {};
        for (const [field, by] of [...toFields('X', a), ...toFields('X', b)]) hash[field] = (hash[field] ?? 0) + by;
        const fields = Object.fromEntries(Object.entries(hash).map(([field, by]) => [field, String(by)]));
        a.merge(b);
        assert.deepEqual(fromFields(fields).get('X') ?? new ClassTally(), a);
      }),
    );
  });

  it('passes over what it does not know', () => {
    const fields = { 'p:A': '2', 'q:A': '1', 'l48:A': '1', 'lx:A': '1', ':A': '1', p: '1', '': '1', 'f:A': 'many' };
    assert.deepEqual(
      [...fromFields(fields)].map(([name, { processed, failed }]) => [name, processed, failed]),
      [['A', 2, 0]],
    );
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.string()), (any) => void fromFields(any)));
  });
});
