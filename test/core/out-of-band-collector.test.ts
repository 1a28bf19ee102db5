import assert from 'node:assert/strict';
import { OutOfBandGc } from '../../lib/internals/gc';

const MIB = 1048576;

describe('out-of-band collection', () => {
  let takenMib: number;
  let done: number;
  let collections: number;
  let collector: OutOfBandGc;

  beforeEach(() => {
    takenMib = 40;
    collections = done = 0;
    const collect = () => {
      collections++;
      // The first collection does not release the pages yet.
      if (collections % 2 === 0) takenMib = Math.min(takenMib, 22);
    };
    collector = new OutOfBandGc(collect, () => ({ aliveBytes: 20 * MIB, takenBytes: takenMib * MIB }));
  });

  const look = (times: number) => {
    for (let n = 0; n < times; n++) collector.tick(0, done);
  };
  const work = () => collector.tick(0, ++done);

  it('runs twice after five idle ticks, and then no more', () => {
    look(4);
    assert.equal(collections, 0);
    look(1);
    assert.equal(collections, 1);
    look(1);
    assert.equal(collections, 2);
    look(100);
    assert.equal(collections, 2);
  });

  it('runs again without work when the heap has grown, at least a minute later', () => {
    look(6);
    takenMib = 30;
    look(59);
    assert.equal(collections, 2);
    look(2);
    assert.equal(collections, 4);
    takenMib = 23.9;
    look(200);
    assert.equal(collections, 4);
  });

  it('does not run while there is work now and then', () => {
    for (let n = 0; n < 50; n++) {
      work();
      look(4);
    }
    assert.equal(collections, 0);
  });

  it('does not run while something is in flight', () => {
    for (let n = 0; n < 50; n++) collector.tick(1, 0);
    assert.equal(collections, 0);
  });

  it('runs after work only when there is enough to free', () => {
    look(10);
    takenMib = 24.9;
    work();
    look(100);
    assert.equal(collections, 2);
    takenMib = 25;
    work();
    look(100);
    assert.equal(collections, 4);
  });

  it('starts over when there is work between the two collections', () => {
    look(5);
    work();
    look(4);
    assert.equal(collections, 1);
    look(100);
    assert.equal(collections, 3);
  });

  it('frees memory for real', () => {
    const inUse = () => process.memoryUsage().heapUsed;
    let litter: object[] | undefined = Array.from({ length: 500_000 }, (_, n) => ({ n }));
    const before = inUse();
    assert.equal(litter.length, 500_000);
    litter = undefined;
    const real = new OutOfBandGc();
    for (let n = 0; n < 7; n++) real.tick(0, 0);
    assert.ok(inUse() < before - 10 * MIB, `${before} became ${inUse()}`);
  });
});
