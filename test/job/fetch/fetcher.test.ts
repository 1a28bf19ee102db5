import assert from 'node:assert/strict';
import { setImmediate as immediate } from 'node:timers/promises';
import fc from 'fast-check';
import type { RedisClient } from '../../../lib/core/redis';
import { WorkerQueue } from '../../../lib/internals/bee-queue';
import { strictOrder, weightedOrder } from '../../../lib/job/fetch/consumer';
import { ClassLimits } from '../../../lib/job/fetch/fetch-call';
import { Fetcher } from '../../../lib/job/fetch/fetcher';
import type { FetchOrder } from '../../../lib/job/fetch/fetcher-types';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { newRecord } from '../../../lib/job/record/record';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { AdapterStage } from './adapter-stage';

/** Without the consumer around it, so that no poll can find a job that the fetcher has missed. */
describe('the fetcher', () => {
  let stage: AdapterStage;
  let client: RedisClient;
  const fetchers: Fetcher[] = [];
  const gate = new Gate();
  const begun: { readonly id: string; readonly queue: string }[] = [];
  before(async () => {
    stage = await AdapterStage.start();
    ({ client } = stage.redis);
  });
  after(() => stage.stop());
  beforeEach(async () => {
    await client.flushAll();
    begun.length = 0;
    gate.close();
  });
  afterEach(async () => {
    gate.open();
    for (const fetcher of fetchers.splice(0)) {
      fetcher.quiet();
      await fetcher.idle();
      fetcher.close();
    }
  });

  const start = (names: readonly string[], budget: number, order: FetchOrder = strictOrder, onBegun = () => {}) => {
    const { command } = stage;
    const connections = { command, blocking: undefined };
    const fetcher = new Fetcher({
      queues: names.map((name) => new WorkerQueue(name, 30_000, connections)),
      command,
      budget,
      order,
      limits: new ClassLimits(),
      handler: async ({ id, queue }) => {
        begun.push({ id, queue });
        onBegun();
        await gate.pass();
        return { outcome: { op: 'discard', markers: '' }, recorded: () => undefined };
      },
      onError: (error) => assert.fail(error),
    });
    fetchers.push(fetcher);
    fetcher.start();
    return fetcher;
  };
  const enqueue = async (...queues: string[]) => {
    const record = newRecord('{"class":"AnyJob","args":[]}');
    const jobs = queues.map((queue, index) => ({ id: `job-${index}`, queue, record }));
    await dispatch(client, jobs);
    return jobs.map(({ id }) => id);
  };
  const times = (count: number, queue = 'default') => Array.from({ length: count }, () => queue);
  const allRan = (count: number) => until('all jobs have begun', () => begun.length === count);
  const queuesBegun = () => begun.map(({ queue }) => queue);

  it('fills a budget that is larger than one call, and does not exceed it', async () => {
    await enqueue(...times(230));
    start(['default'], 200);
    await until('as many jobs run as the budget allows', () => gate.held === 200);
    assert.equal(await client.lLen('bq:default:waiting'), 30);
    gate.open();
    await allRan(230);
  });

  it('fetches again after a wake that came during a call that did not see the job', async () => {
    gate.open();
    await enqueue('default');
    const fetcher = start(['default'], 1);
    await allRan(1);
    for (let round = 0; round < 20; round++) {
      const late = `late-${round}`;
      // By then Redis has the script and the last outcome.
      await fetcher.idle();
      fetcher.wake();
      await immediate();
      // Redis runs these after the script of that call, which holds the only permit until its reply comes.
      const pushed = [
        stage.command.send('hset', ['bq:default:jobs', late, newRecord('{"class":"AnyJob","args":[]}')]),
        stage.command.send('lpush', ['bq:default:waiting', late]),
      ];
      fetcher.wake();
      await Promise.all(pushed);
      await until(`${late} ran`, () => begun.some(({ id }) => id === late));
    }
  });

  it('returns jobs to their queue that have not begun when it is told to be quiet', async () => {
    await enqueue(...times(10));
    const fetcher = start(['default'], 10, strictOrder, () => fetcher.quiet());
    await until('a job has begun', () => begun.length > 0);
    gate.open();
    await fetcher.idle();
    assert.equal(begun.length, 1);
    const left = await Promise.all([client.lLen('bq:default:waiting'), client.lLen('bq:default:active')]);
    assert.deepEqual([...left, await client.hLen('bq:default:deliveries')], [9, 0, 0]);
  });

  it('begins jobs in order, although some are fetched while others still wait to begin', async () => {
    const ids = await enqueue(...times(30));
    gate.open();
    // The event loop is blocked: jobs that are fetched meanwhile arrive before the next turn.
    start(['default'], 2, strictOrder, () => {
      setTimeout(blockFor, 0, 10);
      setImmediate(blockFor, 2);
    });
    await allRan(ids.length);
    assert.deepEqual(
      begun.map(({ id }) => id),
      ids,
    );
  });

  it('drains each of 150 queues before the next in strict order', async () => {
    const names = Array.from({ length: 150 }, (_, n) => `queue-${n}`);
    const queues = names.flatMap((name) => times(3, name));
    await enqueue(...[...queues].reverse());
    gate.open();
    start(names, 2);
    await allRan(queues.length);
    assert.deepEqual(queuesBegun(), queues);
  });

  it('shares its budget between queues by their weights', async () => {
    await enqueue(...times(100, 'light'), ...times(100, 'heavy'));
    gate.open();
    start(['heavy', 'light'], 2, weightedOrder([3, 1]));
    await allRan(200);
    // Binomial: about 25 of the first 100, and outside 4 … 50 with a probability below 1e-7.
    const early = queuesBegun()
      .slice(0, 100)
      .filter((queue) => queue === 'light').length;
    assert.ok(early > 3 && early < 51, `${early} of the first 100`);
  });

  it('tries every queue for every job, whatever the weights', () => {
    const someWeights = fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(someWeights, fc.nat(20), (weights, wanted) => {
        const orders = weightedOrder(weights)([...weights.keys()], wanted);
        assert.equal(orders.length, wanted);
        for (const order of orders) assert.deepEqual([...order].sort(), [...weights.keys()]);
      }),
    );
  });

  it('runs a job with only one delivery left alone until it has ended', async () => {
    const record = newRecord('{"class":"AnyJob","args":[]}');
    const names = ['a', 'suspect b', 'c', 'suspect d', 'e'];
    await dispatch(
      client,
      names.map((id) => ({ id, queue: 'default', record })),
    );
    for (const id of names.filter((name) => name.startsWith('suspect')))
      await client.hSet('bq:default:deliveries', id, '2:');
    start(['default'], 50);
    const together: string[][] = [];
    for (const expected of [['a'], ['suspect b'], ['c'], ['suspect d'], ['e']]) {
      const from = together.flat().length;
      await until('the next job has begun', () => begun.length > from);
      // If more jobs were to begin, Redis would have run their fetch before this call of the same connection.
      await stage.command.send('ping', []);
      together.push(begun.slice(from).map(({ id }) => id));
      assert.deepEqual(together.at(-1), expected);
      gate.open();
      gate.close();
    }
    await until('Redis has every outcome', async () => (await client.hLen('bq:default:deliveries')) === 0);
  });
});

function blockFor(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
