import assert from 'node:assert/strict';
import { type EventMap, Events } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { Executor } from '../../../lib/job/perform/executor';
import { readRecord } from '../../../lib/job/record/record';
import { recordText } from '../sets/stored-job';

let thrown: unknown;
const discarded: Error[] = [];

class FailingJob extends Job<[]> {
  perform(): void {
    throw thrown;
  }

  override afterDiscard(error: Error): void {
    discarded.push(error);
  }
}

/** Records like those that fuzzers have found: each would end the process, again and again, or stop a background task. */
describe('poisoned records', () => {
  const events = new Events();
  const released: string[] = [];
  const executor = new Executor({
    registry: new JobRegistry([FailingJob]),
    events,
    maxDeliveries: 3,
    onFinished: () => undefined,
    onDied: () => undefined,
    releaseUnique: async (id) => {
      released.push(id);
    },
  });
  const dead: EventMap['job.dead'][] = [];
  const started: EventMap['job.started'][] = [];
  events.on('job.dead', (event) => dead.push(event));
  events.on('job.started', (event) => started.push(event));
  beforeEach(() => {
    thrown = new Error('as told');
    dead.length = started.length = 0;
  });

  const perform = async (record: string, deliveries = 1) => {
    const performed = await executor.perform({ id: 'id-1', queue: 'default', record, deliveries, fence: '1:t' });
    performed.recorded(true);
    return performed.outcome;
  };
  const failing = recordText({ class: 'FailingJob', errors: ['one'] });

  it('are retried without their stack traces or attempts when these are nonsense', async () => {
    for (const nonsense of ['7', 'null', '[7]', '{"length":1}', '"text"']) {
      const outcome = await perform(failing.replace(/"stacktraces":\[.*?\]/, `"stacktraces":${nonsense}`));
      assert.equal(outcome.op, 'retry');
      const { options } = readRecord('record' in outcome ? outcome.record : '');
      assert.equal(options.stacktraces?.length, 1);
      assert.equal(options.attempts, 2);
    }
    for (const attempts of ['-9', '1e300', '"3"', '{}']) {
      const outcome = await perform(failing.replace('"attempts":1', `"attempts":${attempts}`));
      assert.equal(readRecord('record' in outcome ? outcome.record : '').options.attempts, 1, attempts);
    }
  });

  it('run without a context when theirs is nonsense', async () => {
    for (const attrs of ['null', '7', '["a"]', '{"requestId":{},"locale":3,"attributes":[]}']) {
      assert.equal((await perform(failing.replace(/"attrs":\{.*?\}/, `"attrs":${attrs}`))).op, 'retry', attrs);
    }
  });

  it('count as jobs from the outbox when their route is unknown', async () => {
    const outcome = await perform(failing.replace('"via":"redis"', '"via":"__proto__"'), 9);
    assert.deepEqual([outcome.op, 'markers' in outcome && outcome.markers], ['dead', 'fc']);
  });

  it('are dead after three deliveries without an outcome', async () => {
    assert.equal((await perform(failing, 3)).op, 'retry');
    assert.equal((await perform(failing, 4)).op, 'dead');
    assert.match(dead[0]?.reason ?? '', /3/);
  });

  it('count as enqueued now when their time is not a date', async () => {
    for (const time of ['-1e300', '1e300', '"1"'])
      await perform(failing.replace(/"timestamp":\d+/, `"timestamp":${time}`));
    assert.deepEqual(
      started.map((event) => event.waitedMs),
      [0, 0, 0],
    );
  });

  it('are dead, unchanged and without their claims, when they are nested too deeply to be written again', async () => {
    const nested = failing
      .replace('"args":[', `"args":[${'['.repeat(50_000)}${']'.repeat(50_000)}`)
      .replace('"via"', '"unique":"executed","via"');
    assert.deepEqual(await perform(nested), { op: 'dead', record: nested, markers: 'rc' });
    assert.match(dead[0]?.reason ?? '', /^its record cannot be written again: Maximum call stack/);
    assert.deepEqual(released, ['id-1']);
  });

  it('are retried when a job throws what cannot be read, and afterDiscard gets a readable error', async () => {
    const refuse = () => {
      throw new Error('not to be read');
    };
    const traps = new Proxy({}, { get: () => refuse });
    const unreadable = [
      Object.defineProperty(new Error('x'), 'stack', { get: refuse }),
      Object.defineProperty(new Error('x'), 'message', { get: refuse }),
      new Error('x', { cause: Object.defineProperty(new Error('y'), 'stack', { get: refuse }) }),
      new Error('x', { cause: new Proxy(new Error('y'), traps) }),
      new Proxy(new Error('x'), traps),
      new Proxy({}, traps),
    ];
    for (const what of unreadable) {
      thrown = what;
      const outcome = await perform(failing);
      assert.equal(outcome.op, 'retry');
      const { options } = readRecord('record' in outcome ? outcome.record : '');
      assert.match(options.stacktraces?.[0] ?? '', /^Error: what was thrown cannot be read: (a Proxy|an error)/);
      discarded.length = 0;
      assert.equal((await perform(failing.replace('"attempts":1', '"attempts":25'))).op, 'dead');
      assert.match(discarded[0]?.message ?? '', /^what was thrown cannot be read/);
    }
  });

  it('are retried when a job throws what is not an error', async () => {
    const odd = Object.assign(new Error('x'), { message: { not: 'a text' }, stack: 7 });
    for (const what of [Object.create(null), Symbol('s'), undefined, null, odd, { toString: null }, () => 1]) {
      thrown = what;
      assert.equal((await perform(failing)).op, 'retry', String(typeof what));
    }
  });
});
