import assert from 'node:assert/strict';
import { PeriodicTask } from '../../lib/support/periodic-task';
import { Progress } from '../../lib/support/progress';
import { until } from './until';

describe('progress', () => {
  let at = 1000;
  const now = () => at;
  beforeEach(() => {
    at = 1000;
  });

  it('counts the time owed since something is due, until it moves', () => {
    const progress = new Progress({ now });
    assert.deepEqual(progress.read(), { movedMs: null, owedMs: 0, error: undefined });
    progress.due();
    at += 3000;
    progress.due();
    at += 4000;
    assert.deepEqual(progress.read(), { movedMs: null, owedMs: 7000, error: undefined });
    progress.moved();
    at += 500;
    assert.deepEqual(progress.read(), { movedMs: 500, owedMs: 0, error: undefined });
  });

  it('counts the time owed since the first of several failures, and reports the last one', () => {
    const progress = new Progress({ now });
    for (const message of ['first', 'second']) {
      progress.begin();
      progress.failed(new Error(message));
      progress.end();
      at += 5000;
    }
    const { owedMs, error } = progress.read();
    assert.deepEqual([owedMs, error?.message], [10_000, 'second']);
    progress.begin();
    progress.end();
    assert.equal(progress.read().owedMs, 0);
  });

  it('counts an idle pass as a sign of life, but not as the end of failures', () => {
    const progress = new Progress({ now });
    progress.confirmedIdle();
    assert.equal(progress.read().movedMs, 0);
    progress.failed(new Error('refused'));
    at += 3000;
    progress.confirmedIdle();
    assert.deepEqual([progress.read().movedMs, progress.read().owedMs], [3000, 3000]);
  });

  it('forgets a failure that was not retried for forgetMs', () => {
    const progress = new Progress({ now, forgetMs: 60_000 });
    progress.failed(new Error('refused'));
    at += 60_000;
    assert.equal(progress.read().owedMs, 60_000);
    at += 1;
    assert.equal(progress.read().owedMs, 0);
  });

  it('follows the passes of a periodic task that fail, hang and succeed', async () => {
    const progress = new Progress({ now });
    let work = (): Promise<undefined> => Promise.reject(new Error('no'));
    const task = new PeriodicTask({ everyMs: 1, work: () => work(), onError: () => undefined, progress });
    task.start();
    await until('a pass has failed', () => progress.read().error !== undefined);
    at += 9000;
    assert.equal(progress.read().owedMs, 9000);
    work = async () => undefined;
    task.trigger();
    await until('a pass has succeeded', () => progress.read().owedMs === 0);
    let end: (value: undefined) => void = () => undefined;
    work = () => new Promise((resolve) => (end = resolve));
    at += 1;
    task.trigger();
    await until('a pass hangs', () => {
      at += 1;
      return progress.read().owedMs > 0;
    });
    end(undefined);
    await task.stop();
  });
});
