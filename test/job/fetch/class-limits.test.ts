import assert from 'node:assert/strict';
import { ClassLimits, type Delivery } from '../../../lib/job/fetch/fetch-call';
import { newRecord } from '../../../lib/job/record/record';

const running = (limitedClass: string | undefined): Delivery => ({
  id: 'a',
  queue: 'default',
  record: '',
  deliveries: 1,
  fence: '1:t',
  limitedClass,
});
const record = (data: unknown) => newRecord(JSON.stringify(data));

describe('limits of classes', () => {
  const limits = new ClassLimits([
    { name: 'OneJob', concurrency: 1 },
    { name: 'ThreeJob', jobName: 'three', concurrency: 3 },
    { name: 'FreeJob' },
  ]);

  it('are read from classes, and written by job name with the number that runs here', () => {
    assert.equal(limits.written([], false), '\nOneJob\t1 0\nthree\t3 0\n');
    const here = [running('three'), running(undefined), running('three')];
    assert.equal(limits.written(here, true), 'upkeep\nOneJob\t1 0\nthree\t3 2\n');
  });

  it('add nothing to a call when no class has one, except for upkeep now and then', () => {
    assert.equal(new ClassLimits([{ name: 'FreeJob' }]).written([], false), '');
    assert.equal(new ClassLimits().written([], true), '\n');
  });

  it("find the class in the text of a record, ours or a plain producer's", () => {
    assert.equal(limits.classOf(record({ v: 1, class: 'OneJob', args: ['"class":"three"'] })), 'OneJob');
    assert.equal(limits.classOf(record({ class: 'three', args: [] })), 'three');
    assert.equal(limits.classOf(record({ v: 1, class: 'FreeJob', args: [] })), undefined);
    assert.equal(limits.classOf(record({ note: '"class":"OneJob"', class: 'three' })), 'three');
    assert.equal(
      limits.classOf(record({ args: [1], class: 'OneJob' })),
      undefined,
      'a record that begins differently has no limit',
    );
    assert.equal(limits.classOf('not JSON'), undefined);
  });

  it('are refused with class and value when they are invalid', () => {
    for (const concurrency of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '2' as unknown as number]) {
      assert.throws(
        () => new ClassLimits([{ name: 'OddJob', concurrency }]),
        /OddJob: concurrency is .+; give a whole/,
      );
    }
    assert.throws(() => new ClassLimits([{ name: 'A', jobName: 'a "b"', concurrency: 1 }]), /another jobName/);
  });
});
