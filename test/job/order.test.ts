import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { weightedOrder } from '../../lib/job/adapter/fetch-order';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { JobSystem } from './job-system';

const started: string[] = [];
let running = 0;
let most = 0;

class QueueJob extends Job {
  async perform(): Promise<void> {
    started.push(this.context.queue);
    most = Math.max(most, ++running);
    await wait(1);
    running--;
  }
}

const begun: number[] = [];

class NumberedJob extends Job<[number: number]> {
  perform(number: number): void {
    begun.push(number);
    // The loop is late: what is fetched meanwhile has arrived before the next turn.
    setTimeout(blockFor, 0, 10);
    setImmediate(blockFor, 2);
  }
}

function blockFor(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('the order of queues', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    started.length = 0;
    running = most = 0;
  });

  const enqueue = async (count: number) => {
    await transaction(async () => {
      for (let i = 0; i < count; i++) {
        await QueueJob.set({ queue: 'mailer' }).performLater();
        await QueueJob.performLater();
      }
    });
  };
  const leaks = () => started.slice(0, started.lastIndexOf('default')).filter((queue) => queue === 'mailer').length;

  it('is strict: 300 + 300 jobs, none of mailer before default is drained, never more than the budget at once', async () => {
    const filler = await system.processor([QueueJob]);
    filler.quiet();
    await enqueue(300);
    await until('redis has them all', async () => (await system.redis.client.lLen('bq:mailer:waiting')) === 300);
    await system.stopProcessors();
    await system.processor([QueueJob]);
    await until('all ran', () => started.length === 600 && running === 0);
    assert.ok(leaks() <= 1, `${leaks()} mailer jobs ran too early`);
    assert.equal(most, 2);
  });

  it('is kept by jobs that begin in turns: none overtakes one that was fetched before it', async () => {
    const numbers = Array.from({ length: 40 }, (_, number) => number);
    for (const number of numbers) await NumberedJob.performLater(number);
    begun.length = 0;
    await system.processor([NumberedJob]);
    await until('all ran', () => begun.length === numbers.length);
    assert.deepEqual(begun, numbers);
  });

  it('lets weighted queues share', async () => {
    const queues = [
      { name: 'default', weight: 3 },
      { name: 'mailer', weight: 1 },
    ];
    const filler = await system.processor([QueueJob]);
    filler.quiet();
    await enqueue(200);
    await until('redis has them all', async () => (await system.redis.client.lLen('bq:mailer:waiting')) === 200);
    await system.stopProcessors();
    await system.processor([QueueJob], { jobs: { queues, weighted: true } });
    await until('all ran', () => started.length === 400 && running === 0);
    // Binomial: among the first 200 about 50; far outside 10 … 110 with a chance below 1e-9.
    const early = started.slice(0, 200).filter((queue) => queue === 'mailer').length;
    assert.ok(early > 10 && early < 110, `${early} of the first 200 are mailer's`);
    assert.equal(most, 2);
  });

  it('tries every queue for every job, whatever the weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 9 }),
        fc.nat(20),
        (weights, wanted) => {
          const orders = weightedOrder(weights)([...weights.keys()], wanted);
          assert.equal(orders.length, wanted);
          for (const order of orders) assert.deepEqual([...order].sort(), [...weights.keys()]);
        },
      ),
    );
  });
});
