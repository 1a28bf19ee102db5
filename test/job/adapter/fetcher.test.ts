import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { BeeConnection } from '../../../lib/job/adapter/bee-connection';
import { ClassLimits } from '../../../lib/job/adapter/class-limits';
import { type FetchOrder, strictOrder, weightedOrder } from '../../../lib/job/adapter/fetch-order';
import { Fetcher } from '../../../lib/job/adapter/fetcher';
import { WorkerQueue } from '../../../lib/job/adapter/worker-queue';
import { Deadline } from '../../../lib/support/deadline';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';
import { Gate } from '../gate';

/** Without the worker around it, so that neither a poll nor a peek helps it. */
describe('the fetcher', () => {
  let server: TestRedis;
  let redis: Redis;
  let command: BeeConnection;
  const fetchers: Fetcher[] = [];
  const gate = new Gate();
  const begun: string[] = [];
  before(async () => {
    server = await startTestRedis();
    redis = new Redis(server.url, new Events());
    await redis.start();
    const onError = (error: Error) => assert.fail(error);
    const onReady = () => undefined;
    command = new BeeConnection({ url: server.url, patienceMs: 10_000, onReady, onError });
    await command.firstReady.promise;
    await until('redis is connected', () => redis.client.isReady);
  });
  after(async () => {
    command.end();
    await redis.stop(Deadline.after(1000));
    await server.remove();
  });
  beforeEach(async () => {
    await redis.client.flushAll();
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
    const connections = { command, subscriber: command, blocking: undefined };
    const queues = names.map((name) => new WorkerQueue(name, 30_000, connections));
    const fetcher = new Fetcher({
      queues,
      command,
      budget,
      order,
      limits: new ClassLimits(),
      handler: async ({ queue }) => {
        begun.push(queue);
        onBegun();
        await gate.pass();
        return { outcome: { op: 'drop', traces: '' }, recorded: () => undefined };
      },
      onError: (error) => assert.fail(error),
    });
    fetchers.push(fetcher);
    fetcher.start();
    return fetcher;
  };
  const enqueue = async (queue: string) => {
    const id = randomBytes(8).toString('hex');
    await redis.client.hSet(`bq:${queue}:jobs`, id, '{"data":{"class":"AnyJob"}}');
    await redis.client.lPush(`bq:${queue}:waiting`, id);
  };

  it('fills a budget that is larger than what one call fetches', async () => {
    await Promise.all(Array.from({ length: 230 }, () => enqueue('default')));
    start(['default'], 200);
    await until('as many run as may', () => gate.held === 200);
    assert.equal(await redis.client.lLen('bq:default:waiting'), 30);
    gate.open();
    await until('all ran', () => begun.length === 230);
  });

  it('has several calls on their way where jobs end at once, so that Redis works while this process does', async () => {
    await Promise.all(Array.from({ length: 400 }, () => enqueue('default')));
    let [calls, most] = [0, 0];
    const { send } = command;
    command.send = async (...args) => {
      most = Math.max(most, ++calls);
      // Longer on its way than a turn takes, however late the loop is.
      const reply = await send.apply(command, args);
      await wait(2);
      calls--;
      return reply;
    };
    gate.open();
    start(['default'], 10);
    await until('all ran', () => begun.length === 400);
    command.send = send;
    assert.ok(most >= 2, `${most} at most`);
  });

  it('gives back what had not begun when it was told to be quiet', async () => {
    await Promise.all(Array.from({ length: 10 }, () => enqueue('default')));
    const fetcher = start(['default'], 10, strictOrder, () => fetcher.quiet());
    await until('some began', () => begun.length > 0);
    gate.open();
    await fetcher.idle();
    assert.equal(begun.length, 1);
    assert.equal(await redis.client.lLen('bq:default:waiting'), 9);
    assert.equal(await redis.client.lLen('bq:default:active'), 0);
    assert.equal(await redis.client.hLen('bq:default:deliveries'), 0);
  });

  for (const [what, order] of [
    ['in strict order', strictOrder],
    ['by weights', weightedOrder(Array.from({ length: 150 }, () => 1))],
  ] as const) {
    it(`serves any number of queues, ${what}`, async () => {
      const names = Array.from({ length: 150 }, (_, n) => `queue-${n}`);
      for (const name of [...names].reverse()) await enqueue(name);
      gate.open();
      start(names, 1, order);
      await until('all ran', () => begun.length === 150);
      if (order === strictOrder) assert.deepEqual(begun, names);
      else assert.deepEqual([...begun].sort(), [...names].sort());
    });
  }
});
