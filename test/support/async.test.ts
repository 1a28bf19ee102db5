import assert from 'node:assert/strict';
import { deferred, valueWithin, withTimeout } from '../../lib/support/async';
import { until } from './until';

const LONG_MS = 600_000;
const never = () => new Promise<string>(() => undefined);

describe('a promise with a time limit', () => {
  it('settles with its value or its error when it is in time', async () => {
    assert.equal(await withTimeout(Promise.resolve('value'), LONG_MS, () => new Error('late')), 'value');
    const failure = new Error('failed');
    const failed = withTimeout(Promise.reject(failure), LONG_MS, () => new Error('late'));
    await assert.rejects(failed, (error) => error === failure);
  });

  it('rejects when it is late, and passes the late value on when it comes', async () => {
    const work = deferred<string>();
    const late: string[] = [];
    const waited = withTimeout(
      work.promise,
      1,
      () => new Error('it is late'),
      (value) => late.push(value),
    );
    await assert.rejects(waited, { message: 'it is late' });
    work.resolve('after all');
    await until('the late value is passed on', () => late.length === 1);
    assert.deepEqual(late, ['after all']);
  });

  it('leaves no unhandled rejection behind', async () => {
    const work = deferred<string>();
    await assert.rejects(withTimeout(work.promise, 1, () => new Error('it is late')));
    work.reject(new Error('nobody waits for this'));
    await new Promise(setImmediate);
  });

  it('is replaced by a fallback when it fails or is late', async () => {
    assert.equal(await valueWithin(Promise.resolve(1), LONG_MS, null), 1);
    assert.equal(await valueWithin(Promise.reject(new Error('failed')), LONG_MS, null), null);
    assert.equal(await valueWithin(never(), 1, null), null);
  });

  it('is not late if its value had arrived while the process was blocked', async () => {
    const answer = new Promise<string>((resolve) => setTimeout(resolve, 2, 'in time'));
    const waited = valueWithin(answer, 1, 'late');
    const blockedUntil = performance.now() + 20;
    while (performance.now() < blockedUntil);
    assert.equal(await waited, 'in time');
  });
});
