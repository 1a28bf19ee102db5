import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Redis } from '../../../lib/core/redis';
import type { BeeConnection } from '../../../lib/job/fetch/consumer';
import { until } from '../../support/until';
import { AdapterStage } from './adapter-stage';
import { CLASSES, LimitModel, QUEUES } from './limit-model';

type Step =
  | { readonly do: 'enqueue'; readonly jobClass: string; readonly queue: string; readonly count: number }
  | {
      readonly do: 'call';
      readonly process: number;
      readonly wanted: number;
      readonly ends: readonly ('discard' | 'release' | 'retry')[];
      readonly lose: boolean;
    }
  | { readonly do: 'die' | 'stall'; readonly process: number }
  | { readonly do: 'remove'; readonly nth: number }
  | { readonly do: 'pause' | 'resume'; readonly queue: string }
  | { readonly do: 'forget scripts' };

const queue = fc.constantFrom(...QUEUES);
const process = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      jobClass: fc.constantFrom(...CLASSES),
      queue,
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      process,
      wanted: fc.nat(3),
      ends: fc.array(fc.constantFrom('discard' as const, 'release' as const, 'retry' as const), { maxLength: 3 }),
      lose: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constantFrom('die' as const, 'stall' as const), process }),
  fc.record({ do: fc.constant('remove' as const), nth: fc.nat(30) }),
  fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const), queue }),
  fc.constant({ do: 'forget scripts' as const }),
);

describe('limits of classes in the fetch script', () => {
  let stage: AdapterStage;
  let redis: Redis;
  let command: BeeConnection;
  before(async () => {
    stage = await AdapterStage.start();
    ({ redis, command } = stage);
  });
  after(() => stage.stop());
  beforeEach(async () => {
    await redis.client.flushAll();
  });

  async function leftovers(model: LimitModel): Promise<string[]> {
    const keys = await redis.client.keys('*');
    const left = keys.filter((key) => !/:(recent|finished|stalling|deliveries)$|catamount:queues/.test(key));
    for (const queue of QUEUES) {
      // bee-queue's removal does not know this hash, so that a removed job leaves its delivery count.
      const delivered = await redis.client.hKeys(`bq:${queue}:deliveries`);
      left.push(...delivered.filter((id) => !model.removed.has(id)));
    }
    return left;
  }

  const paused = (name: string) => `bq:${name}:paused`;

  async function take(model: LimitModel, step: Step): Promise<void> {
    const { client } = redis;
    switch (step.do) {
      case 'enqueue':
        for (let i = 0; i < step.count; i++) await model.enqueue(step.jobClass, step.queue);
        break;
      case 'call': {
        const process = model.processes[step.process] ?? assert.fail();
        await model.call(process, step.wanted, step.ends.slice(0, process.running.length), step.lose);
        break;
      }
      case 'die':
        await model.die(model.processes[step.process] ?? assert.fail());
        break;
      case 'stall':
        await model.stall(model.processes[step.process] ?? assert.fail());
        break;
      case 'remove':
        await model.remove([...model.expected][step.nth] ?? 'none');
        break;
      case 'pause':
        await client.set(paused(step.queue), '1');
        break;
      case 'resume':
        await client.del(paused(step.queue));
        break;
      case 'forget scripts':
        await client.scriptFlush();
    }
  }

  it('are never exceeded and strand no job, whatever happens to processes, replies and jobs', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        await redis.client.flushAll();
        const model = new LimitModel(redis, command, 3);
        for (const each of steps) await take(model, each);
        await redis.client.del(QUEUES.map(paused));
        await model.drain();
        assert.deepEqual([...model.ended].sort(), [...model.expected].sort(), 'each job ended once');
        assert.deepEqual(await leftovers(model), [], 'nothing is left of them');
      }),
      { numRuns: 60 },
    );
  });

  it('hold jobs back in order, and let others pass them', async () => {
    const model = new LimitModel(redis, command, 1);
    const [process = assert.fail()] = model.processes;
    const ones: string[] = [];
    for (let i = 0; i < 4; i++) ones.push(await model.enqueue('OneJob', 'default'));
    const free = await model.enqueue('FreeJob', 'default');
    assert.deepEqual(
      (await model.call(process, 2)).map((job) => job.id),
      [ones[0], free],
    );
    assert.deepEqual(await redis.client.lRange('bq:default:blocked:OneJob', 0, -1), ones.slice(1).reverse());
    assert.equal(await redis.client.hLen('bq:default:jobs'), 5);
    // A later job of the class waits behind the held ones.
    ones.push(await model.enqueue('OneJob', 'default'));
    await model.drain();
    assert.deepEqual(
      model.ended.filter((id) => ones.includes(id)),
      ones,
    );
  });

  it('let another process take a held job when one of its class has ended', async () => {
    const model = new LimitModel(redis, command, 2);
    const [quiet = assert.fail(), idle = assert.fail()] = model.processes;
    const first = await model.enqueue('OneJob', 'mailer');
    await model.call(quiet, 1);
    const second = await model.enqueue('OneJob', 'mailer');
    assert.deepEqual(await model.call(idle, 2), []);
    const woken: string[] = [];
    const subscriber = redis.client.duplicate();
    subscriber.on('error', () => undefined);
    await subscriber.connect();
    try {
      await subscriber.subscribe('catamount:wake', (prefix) => woken.push(prefix));
      await model.call(quiet, 0, ['discard']);
      await until('other processes are woken', () => woken.length > 0);
      assert.deepEqual(woken, ['bq:mailer:']);
    } finally {
      subscriber.destroy();
    }
    await model.call(idle, 2);
    await model.call(idle, 0, ['discard']);
    assert.deepEqual(model.ended, [first, second]);
  });

  it('release held jobs when a limit is raised or dropped, and survive removed jobs', async () => {
    const first = new LimitModel(redis, command, 1);
    const ids: string[] = [];
    for (let i = 0; i < 9; i++) ids.push(await first.enqueue('OneJob', 'default'));
    assert.equal((await first.call(first.processes[0] ?? assert.fail(), 9)).length, 1);
    assert.equal(await redis.client.lLen('bq:default:blocked:OneJob'), 8);

    const raised = new LimitModel(redis, command, 1, { OneJob: 3 });
    const some = await raised.call(raised.processes[0] ?? assert.fail(), 9);
    assert.deepEqual(
      some.map((job) => job.id),
      ids.slice(1, 3),
      'the job that the old deploy runs counts',
    );

    const lifted = new LimitModel(redis, command, 1, {});
    const [newest = assert.fail()] = lifted.processes;
    assert.deepEqual(await lifted.call(newest, 9), [], 'a process that knows a limit is running a job');
    await first.call(first.processes[0] ?? assert.fail(), 0, ['discard']);
    await raised.call(raised.processes[0] ?? assert.fail(), 0, ['discard', 'discard']);
    await lifted.remove(ids[3] ?? '');
    await lifted.drain();
    assert.deepEqual(lifted.ended, ids.slice(4));
    assert.deepEqual(await leftovers(lifted), []);
  });

  it('hold even when Redis has forgotten which jobs run', async () => {
    const model = new LimitModel(redis, command, 1);
    const [process = assert.fail()] = model.processes;
    await model.enqueue('TwoJob', 'default');
    await model.enqueue('TwoJob', 'default');
    assert.equal((await model.call(process, 9)).length, 2);
    await redis.client.flushAll();
    const later = await model.enqueue('TwoJob', 'default');
    assert.equal((await model.call(process, 9)).length, 0);
    await model.call(process, 0, ['discard']);
    assert.deepEqual(
      (await model.call(process, 9)).map((job) => job.id),
      [later],
    );
  });

  it('apply the outcome of a job that was taken for stalled and is now held', async () => {
    for (const op of ['retry', 'dead', 'release', 'discard'] as const) {
      await redis.client.flushAll();
      const model = new LimitModel(redis, command, 2);
      const [stalled = assert.fail(), other = assert.fail()] = model.processes;
      const first = await model.enqueue('OneJob', 'default');
      await model.call(stalled, 1);
      const second = await model.enqueue('OneJob', 'default');
      await model.stall(stalled);
      assert.deepEqual(
        (await model.call(other, 2)).map((job) => job.id),
        [second],
      );
      const held = () => redis.client.lRange('bq:default:blocked:OneJob', 0, -1);
      assert.deepEqual(await held(), [first]);
      await model.call(stalled, 0, [op]);
      // In this model retries are due at once.
      const waiting = await redis.client.lRange('bq:default:waiting', 0, -1);
      const dead = await redis.client.zRange('bq:default:dead', 0, -1);
      const places = { retry: waiting, release: waiting, dead, discard: model.ended };
      assert.deepEqual([places[op], await held()], [[first], []], op);
    }
  });

  it('bound the work of one call, however many jobs of a full class are in front', async () => {
    const model = new LimitModel(redis, command, 1);
    const [process = assert.fail()] = model.processes;
    for (let i = 0; i < 1300; i++) await model.enqueue('OneJob', 'default');
    const free = await model.enqueue('FreeJob', 'default');
    const calls = [];
    for (let i = 0; i < 4; i++) calls.push(await model.call(process, 1 + (i === 0 ? 1 : 0)));
    assert.deepEqual(
      calls.map((jobs) => jobs.length),
      [1, 0, 1, 0],
    );
    assert.equal(calls[2]?.[0]?.id, free);
  });
});
