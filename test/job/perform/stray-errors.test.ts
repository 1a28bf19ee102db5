import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { Executor } from '../../../lib/job/perform/executor';
import { readHistory } from '../../../lib/job/record/history';
import { deliveryOf, payloadText } from '../sets/stored-job';

const STRAY = new Error('left for nobody to catch');
const outcomes: string[] = [];
let after: 'hangs' | 'resolves' | 'performs another job that did';

class InnerJob extends Job {
  async perform(): Promise<void> {
    await later();
  }
}

class StrayJob extends Job {
  async perform(): Promise<void> {
    if (after === 'performs another job that did') return InnerJob.performNow();
    await later();
    if (after === 'hangs') await new Promise(() => undefined);
  }
}

/** Acts like the process's handler of uncaught errors, which Node calls in the context of the code that threw. */
async function later(): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      outcomes.push(executor.failRunBehind(STRAY), executor.failRunBehind(new Error('another one')));
      resolve();
    }, 1);
  });
}

const executor = new Executor({
  registry: new JobRegistry([StrayJob]),
  events: new Events(),
  maxDeliveries: 3,
  uncaughtGraceMs: 1,
});

/** test/process/stray-errors.deep.ts shows the errors themselves, in a process of their own. */
describe('a run whose code throws an error that nothing catches', () => {
  beforeEach(() => {
    outcomes.length = 0;
  });

  for (const then of ['hangs', 'resolves', 'performs another job that did'] as const) {
    it(`fails with that error even if it ${then}`, async () => {
      after = then;
      const { outcome } = await executor.perform(deliveryOf(payloadText({ class: 'StrayJob' })));
      assert.equal(outcome.op, 'retry');
      assert.deepEqual(['attempts' in outcome && outcome.attempts, outcomes], [1, ['failed', 'failed']]);
      const { stacktraces } = readHistory('history' in outcome ? outcome.history : null);
      assert.match(stacktraces?.[0] ?? '', /^Error: left for nobody to catch/);
    });
  }

  it('does not fail when the error comes from elsewhere', () => {
    assert.equal(executor.failRunBehind(STRAY), 'unknown');
  });
});
