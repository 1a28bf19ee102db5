import assert from 'node:assert/strict';
import { type Caller, Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Deadline } from '../../lib/support/async';
import { OperatorActions, readActions } from '../../lib/tree/operator-actions';
import { ACTIONS_KEY } from '../../lib/tree/tree-commands';
import { startTestRedis, type TestRedis } from '../support/redis';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';

const PAUSE = { action: 'pause', queue: 'mailer', jobs: 0, via: 'cli:ada' } as const;
const CRON = { action: 'trigger', name: 'nightly', via: 'cli:ada' } as const;

describe("the list of operators' actions in Redis", () => {
  let server: TestRedis;
  let redis: Redis;
  let events: Events;
  let actions: OperatorActions;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server?.remove());
  beforeEach(async () => {
    events = new Events();
    redis = new Redis(server.url, events);
    actions = new OperatorActions(redis, events);
    actions.listen();
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
    await redis.client.flushAll();
  });
  afterEach(() => redis.stop(Deadline.after(WAIT_LIMIT_MS)));

  const jobs = (action: string, count: number, via: Caller = 'cli:ada') =>
    events.emit('operator.jobs', { action, set: 'dead', count, via });
  const told = async () => {
    await actions.settled();
    return (await readActions(redis.client)).map(({ about }) => about);
  };

  it("is read newest first, with times by Redis's clock, and holds nothing else", async () => {
    events.emit('operator.queue', PAUSE);
    events.emit('operator.cron', CRON);
    events.emit('job.enqueued', { id: '1', class: 'A', queue: 'mailer' });
    await actions.settled();
    const [newest, oldest, ...others] = await readActions(redis.client);
    assert.deepEqual(others, []);
    assert.deepEqual([newest?.name, newest?.about], ['operator.cron', { ...CRON, count: 0 }]);
    assert.deepEqual([oldest?.name, oldest?.about], ['operator.queue', { ...PAUSE, count: 0 }]);
    assert.ok(Math.abs(Date.now() - Date.parse(newest?.at ?? '')) < WAIT_LIMIT_MS);
  });

  it('combines the jobs that one operator moves one by one', async () => {
    for (let n = 0; n < 40; n++) jobs('retry', 1);
    jobs('delete', 2);
    jobs('delete', 3, 'cli:bob');
    assert.deepEqual(
      (await told()).map(({ action, count, via }) => `${via} ${action} ${count}`),
      ['cli:bob delete 3', 'cli:ada delete 2', 'cli:ada retry 40'],
    );
  });

  it('keeps the latest 200 actions', async () => {
    for (let n = 0; n < 210; n++)
      events.emit('operator.cron', { action: 'trigger', name: `task ${n}`, via: 'cli:ada' });
    await actions.settled();
    assert.equal(await redis.client.lLen(ACTIONS_KEY), 200);
    assert.deepEqual(
      (await readActions(redis.client)).slice(0, 2).map(({ about }) => about.name),
      ['task 209', 'task 208'],
    );
  });

  it('is written to by a process that has not connected yet, too', async () => {
    const elsewhere = new Events();
    const other = new Redis(server.url, elsewhere);
    const late = new OperatorActions(other, elsewhere);
    late.listen();
    elsewhere.emit('operator.cron', { action: 'pause', name: 'nightly', via: 'cli:ada' });
    await late.settled();
    assert.equal((await told()).length, 1);
    await other.stop(Deadline.after(WAIT_LIMIT_MS));
  });

  it('skips entries that it cannot read', async () => {
    await redis.client.lPush(ACTIONS_KEY, ['nonsense', '12 0 {"name":', '12 0 {"name":"operator.cron"}', '1 0 7']);
    jobs('retry', 1);
    assert.equal((await told()).length, 1);
  });

  it('reports an action that could not be recorded', async () => {
    await redis.stop(Deadline.after(WAIT_LIMIT_MS));
    await server.stop();
    const failed = events.next('process.error');
    jobs('retry', 1);
    assert.match((await failed).during, /recording an operator's action in Redis/);
    await server.start();
  });
});
