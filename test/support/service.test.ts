import assert from 'node:assert/strict';
import { Backlog } from '../../lib/support/backlog';
import { CachedProbe } from '../../lib/support/cached-probe';
import { Deadline } from '../../lib/support/deadline';
import { parseDuration } from '../../lib/support/duration';
import { lazy } from '../../lib/support/lazy';
import { OutageNotices } from '../../lib/support/outage-notices';
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

describe('a backlog', () => {
  it('takes what fits, and tells once of what it drops until all has been taken', () => {
    let full = 0;
    const backlog = new Backlog(() => full++, 10);
    const [one, other] = [backlog.take(6), backlog.take(4)];
    const told = [backlog.take(1), backlog.take(1), full];
    one?.();
    told.push(backlog.take(7), full);
    other?.();
    assert.ok(backlog.take(10));
    assert.deepEqual([...told, backlog.take(1), full], [undefined, undefined, 1, undefined, 1, undefined, 2]);
  });
});

describe('the notices of an outage', () => {
  it('are the first, then one a minute; after a minute without failure, and once it works, another outage begins', () => {
    let at = 0;
    const notices = new OutageNotices(() => 1000 * at);
    const failedAt = (seconds: number) => {
      at = seconds;
      return notices.failed();
    };
    const told = [0, 59, 60, 119, 120, 181, 182].map(failedAt);
    assert.deepEqual(told, ['', undefined, ', for 1 min 0 s now', undefined, ', for 2 min 0 s now', '', undefined]);
    notices.over();
    assert.deepEqual([183, 243].map(failedAt), ['', ', for 1 min 0 s now']);
  });
});

describe('a value that is read once for many', () => {
  it('is shared, read anew on request, and its failures count from the first one', async () => {
    let reads = 0;
    const read = async () => (++reads > 2 && reads !== 5 ? assert.fail('away') : reads);
    const probe = new CachedProbe<number>(read, { freshMs: 600_000 });
    const values = await Promise.all([probe.get(), probe.get(), probe.refresh(), probe.refresh()]);
    assert.deepEqual(
      values.map((one) => one.ok && one.value),
      [1, 1, 2, 2],
    );
    const later = [await probe.refresh(), await probe.refresh(), await probe.refresh(), await probe.refresh()];
    const [first, second, success, third] = later.map((one) => !one.ok && one.since);
    assert.ok(first && first === second && !success && third && third !== first && reads === 6);
  });

  it('is made once, and again after a failure', async () => {
    let calls = 0;
    const value = lazy(async () => (++calls === 1 ? assert.fail('away') : calls));
    await assert.rejects(value(), /away/);
    assert.deepEqual([await value(), await value()], [2, 2]);
  });
});
