import assert from 'node:assert/strict';
import { Backoff } from '../../lib/support/backoff';
import { Deadline } from '../../lib/support/deadline';
import { parseDuration } from '../../lib/support/duration';
import { type Service, ServiceGroup } from '../../lib/support/service';

function recorder(calls: string[], name: string, fails: { start?: boolean; stop?: boolean } = {}): Service {
  return {
    name,
    async start() {
      calls.push(`start ${name}`);
      if (fails.start) throw new Error(`${name} will not start`);
    },
    async stop() {
      calls.push(`stop ${name}`);
      if (fails.stop) throw new Error(`${name} will not stop`);
    },
  };
}

describe('a service group', () => {
  it('starts in order and stops in reverse order, once each', async () => {
    const calls: string[] = [];
    const group = new ServiceGroup('all', [recorder(calls, 'a'), recorder(calls, 'b')]);
    await Promise.all([group.start(), group.start()]);
    await Promise.all([group.stop(Deadline.after(100)), group.stop(Deadline.after(100))]);
    assert.deepEqual(calls, ['start a', 'start b', 'stop b', 'stop a']);
  });

  it('starts a service that is added once all others have started, and stops it first', async () => {
    const calls: string[] = [];
    const group = new ServiceGroup('all', [recorder(calls, 'a')]);
    const started = group.start();
    assert.equal(await group.add(recorder(calls, 'late')), true);
    await started;
    await group.stop(Deadline.after(100));
    assert.deepEqual(calls, ['start a', 'start late', 'stop late', 'stop a']);
  });

  it('rejects a service that is added while it stops', async () => {
    const calls: string[] = [];
    const group = new ServiceGroup('all', []);
    await group.start();
    const stopped = group.stop(Deadline.after(100));
    assert.equal(await group.add(recorder(calls, 'late')), false);
    await stopped;
    assert.deepEqual(calls, []);
  });

  it('can be stopped without having been started', async () => {
    await new ServiceGroup('all', [recorder([], 'a')]).stop(Deadline.after(100));
  });

  it('stops what was started when one fails to start', async () => {
    const calls: string[] = [];
    const group = new ServiceGroup('all', [
      recorder(calls, 'a'),
      recorder(calls, 'b', { start: true }),
      recorder(calls, 'c'),
    ]);
    await assert.rejects(group.start(), /b will not start/);
    await group.stop(Deadline.after(100));
    assert.deepEqual(calls, ['start a', 'start b', 'stop b', 'stop a']);
  });

  it('stops the others when one fails to stop, then rejects', async () => {
    const calls: string[] = [];
    const group = new ServiceGroup('all', [recorder(calls, 'a'), recorder(calls, 'b', { stop: true })]);
    await group.start();
    await assert.rejects(group.stop(Deadline.after(100)), AggregateError);
    assert.ok(calls.includes('stop a'));
  });
});

describe('a deadline', () => {
  it('tells whether a promise is done or late', async () => {
    assert.equal(await Deadline.after(1000).wait(Promise.resolve()), 'done');
    assert.equal(await Deadline.after(0).wait(new Promise(() => undefined)), 'late');
    await assert.rejects(Deadline.after(1000).wait(Promise.reject(new Error('broke'))), /broke/);
  });
});

describe('back-off', () => {
  it('doubles up to its maximum, and starts again after a reset', () => {
    const backoff = new Backoff({ base: 100, max: 1000 });
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => backoff.next()),
      [100, 200, 400, 800, 1000],
    );
    backoff.reset();
    assert.equal(backoff.next(), 100);
  });
});

describe('durations', () => {
  it('are numbers of milliseconds or text with a unit', () => {
    assert.deepEqual(
      ['1500ms', '10s', '5m', '2 h', '7d', '0.5s', 20, '20'].map((text) => parseDuration(text)),
      [1500, 10_000, 300_000, 7_200_000, 604_800_000, 500, 20, 20],
    );
    assert.equal(parseDuration('3', 's'), 3000);
    assert.equal(parseDuration('36525d'), 36_525 * 86_400_000);
    for (const wrong of ['', 'soon', '-1s', '1y', '1e9', '36526d'])
      assert.equal(parseDuration(wrong), undefined, wrong);
  });
});
