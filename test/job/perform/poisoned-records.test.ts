import assert from 'node:assert/strict';
import { type EventMap, Events } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { Executor } from '../../../lib/job/perform/executor';
import { readHistory } from '../../../lib/job/record/history';
import type { Delivery } from '../../../lib/job/row/job-row';
import { until } from '../../support/until';
import { deliveryOf, payloadText } from '../sets/stored-job';

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

class SlowDiscardJob extends Job<[]> {
  static discarding = Promise.resolve();

  perform(): void {}

  override afterDiscard(): Promise<void> {
    return SlowDiscardJob.discarding;
  }
}

/** Records like those that fuzzers have found: each would end the process, again and again, or stop a background task. */
describe('poisoned records', () => {
  const events = new Events();
  const executor = new Executor({
    registry: new JobRegistry([FailingJob, SlowDiscardJob]),
    events,
    maxDeliveries: 3,
  });
  const dead: EventMap['job.dead'][] = [];
  events.on('job.dead', (event) => dead.push(event));
  beforeEach(() => {
    thrown = new Error('as told');
    dead.length = 0;
  });

  const perform = async (payload: string, more: Partial<Delivery> = {}) => {
    const performed = await executor.perform(deliveryOf(payload, { attempts: 1, ...more }));
    performed.recorded(true);
    return performed.outcome;
  };
  const failing = payloadText({ class: 'FailingJob' });

  it('are dead after three deliveries without an outcome', async () => {
    assert.equal((await perform(failing, { deliveries: 3 })).op, 'retry');
    assert.equal((await perform(failing, { deliveries: 4 })).op, 'dead');
    assert.match(dead[0]?.reason ?? '', /3/);
  });

  it('count as running during afterDiscard, so that the process shows that it lives', async () => {
    let end = () => {};
    SlowDiscardJob.discarding = new Promise((resolve) => {
      end = resolve;
    });
    const performed = perform(payloadText({ class: 'SlowDiscardJob' }), { deliveries: 4 });
    await until('afterDiscard is called', () => executor.runs.size > 0);
    end();
    assert.equal((await performed).op, 'dead');
    assert.equal(executor.runs.size, 0);
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
      const { stacktraces } = readHistory('history' in outcome ? outcome.history : null);
      assert.match(stacktraces?.[0] ?? '', /^Error: what was thrown cannot be read: (a Proxy|an error)/);
      discarded.length = 0;
      assert.equal((await perform(failing, { attempts: 25 })).op, 'dead');
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

  it('have an outcome when they are nested 100,000 levels deep', async () => {
    for (const deep of [
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
    ]) {
      const payload = payloadText({ class: 'FailingJob', args: [] }).replace('"args":[', `"args":[${deep}`);
      assert.match((await perform(payload)).op, /^(retry|dead)$/);
    }
  });
});
