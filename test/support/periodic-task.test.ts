import assert from 'node:assert/strict';
import { PeriodicTask } from '../../lib/support/periodic-task';
import { until } from './until';

/** Longer than any of these tests, so that passes only run because they are triggered. */
const NEVER_MS = 3_600_000;

describe('a periodic task', () => {
  let passes = 0;
  let work: () => Promise<undefined>;
  let errors: string[];
  const makeTask = () =>
    new PeriodicTask({
      everyMs: NEVER_MS,
      work: () => {
        passes++;
        return work();
      },
      onError: (error) => errors.push(error.message),
    });
  beforeEach(() => {
    passes = 0;
    work = async () => undefined;
    errors = [];
  });

  it('runs one pass for all triggers that it gathers', async () => {
    const task = makeTask();
    task.start();
    assert.equal(passes, 1);
    task.triggerIn(30);
    task.triggerIn(1);
    await until('the pass has run', () => passes === 2);
    await task.stop();
    task.triggerIn(0);
    await task.finish();
    assert.equal(passes, 3, 'a triggered pass is due even after the task was stopped');
  });

  it('finishes without a pass when none is due', async () => {
    const task = makeTask();
    task.start();
    await task.finish();
    await task.finish();
    assert.equal(passes, 1);
  });

  it('finishes with the pass that is due: one that was delayed, triggered during another, or failed', async () => {
    const gathering = makeTask();
    gathering.start();
    gathering.triggerIn(NEVER_MS);
    await gathering.finish();
    assert.equal(passes, 2);

    const triggered = makeTask();
    let end: (value: undefined) => void = () => undefined;
    work = () => new Promise((resolve) => (end = resolve));
    triggered.start();
    triggered.trigger();
    const finished = triggered.finish();
    assert.equal(passes, 3, 'two passes never overlap');
    work = async () => undefined;
    end(undefined);
    await finished;
    assert.equal(passes, 4);

    const failed = makeTask();
    work = () => Promise.reject(new Error('away'));
    failed.start();
    await until('the pass has failed', () => errors.length > 0);
    await failed.finish();
    assert.ok(passes >= 6);
    assert.deepEqual(errors, ['away'], 'only the first failure in a row is reported');
  });

  it('rests while it is idle, unless it is triggered, and goes on as soon as it no longer is', async () => {
    let isIdle = true;
    let looks = 0;
    const task = new PeriodicTask({
      everyMs: 1,
      idle: {
        everyMs: NEVER_MS,
        is: () => {
          looks++;
          return isIdle;
        },
      },
      work: async () => {
        passes++;
        return undefined;
      },
      onError: assert.fail,
    });
    task.start();
    await until('it has rested', () => looks > 5);
    assert.equal(passes, 1);
    task.trigger();
    assert.equal(passes, 2);
    const before = looks;
    await until('it rests again', () => looks > before + 5);
    assert.equal(passes, 2);
    isIdle = false;
    await until('it goes on', () => passes > 5);
    await task.stop();
  });
});
