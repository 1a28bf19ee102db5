import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { countOverdue } from '../../../lib/job/outbox/overdue';
import { readQueues } from '../../../lib/job/queue/queue-status';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const gate = new Gate();

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

const OPTIONS = { tuning: { pulseMs: 20, beatMs: 40 }, jobs: { latencyWarningMs: 400 } };

describe('queues that are behind', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(async () => {
    gate.close();
    await system.reset();
  });
  afterEach(() => gate.open());

  it('are warned of once, with age and size, and told of again when they have caught up', async () => {
    await system.processor([HeldJob], OPTIONS);
    for (let i = 0; i < 5; i++) await HeldJob.performLater();
    const slow = await until('it is warned of', () => system.eventsNamed('queue.slow')[0]);
    assert.deepEqual([slow.queue, slow.size, slow.served], ['default', 3, true]);
    assert.ok(slow.latencyMs > 400 && slow.latencyMs < 5000, `${slow.latencyMs} ms`);
    const more = slow.latencyMs + 400;
    const age = async () => (await readQueues(system.redis.client, ['default']))[0]?.latencyMs ?? 0;
    await until('it has waited on for long', async () => (await age()) > more);
    assert.equal(system.eventsNamed('queue.slow').length, 1, 'not again');
    assert.equal(system.eventsNamed('queue.caught-up').length, 0);
    gate.open();
    const caughtUp = await until('it has caught up', () => system.eventsNamed('queue.caught-up')[0]);
    assert.deepEqual(caughtUp, { queue: 'default', latencyMs: 0, size: 0 });
  });

  it('are not those that are paused, nor any when it is switched off', async () => {
    await system.redis.client.set('bq:mailer:paused', '1');
    await system.processor([HeldJob], {
      ...OPTIONS,
      jobs: { queues: [{ name: 'mailer', weight: 1 }], latencyWarningMs: 400 },
    });
    const off = { queues: [{ name: 'default', weight: 1 }], latencyWarningMs: 0 };
    (await system.processor([HeldJob], { ...OPTIONS, jobs: off })).quiet();
    await HeldJob.set({ queue: 'mailer' }).performLater();
    await HeldJob.performLater();
    await until('both have waited', async () => {
      const queues = await readQueues(system.redis.client, ['default', 'mailer']);
      return queues.every(({ latencyMs }) => latencyMs > 600);
    });
    assert.equal(system.eventsNamed('queue.slow').length, 0);
  });

  it('may be served by nobody', async () => {
    await system.processor([HeldJob], OPTIONS);
    await HeldJob.set({ queue: 'nobodys' }).performLater();
    await HeldJob.set({ queue: 'somebodys' }).performLater();
    const other = { queues: [{ name: 'somebodys', weight: 1 }], latencyWarningMs: 0 };
    (await system.processor([HeldJob], { ...OPTIONS, jobs: other })).quiet();
    const slow = await until('it is warned of', () => system.eventsNamed('queue.slow')[0]);
    assert.deepEqual([slow.queue, slow.size, slow.served], ['nobodys', 1, false]);
    const age = async () => (await readQueues(system.redis.client, ['somebodys']))[0]?.latencyMs ?? 0;
    await until('the other has waited longer', async () => (await age()) > 800);
    assert.equal(system.eventsNamed('queue.slow').length, 1, 'who serves that one may tell of it');
  });

  it('may be the outbox, while Redis is away', async () => {
    await system.processor([HeldJob], OPTIONS);
    gate.open();
    await system.redisServer.kill();
    await transaction(async () => {
      await HeldJob.performLater();
      await HeldJob.performLater();
      await HeldJob.set({ wait: '1h' }).performLater();
    });
    const slow = await until('it is warned of', () => system.eventsNamed('outbox.slow')[0]);
    assert.equal(slow.size, 2, 'one is not due');
    assert.ok(slow.latencyMs > 400);
    await system.redisServer.start();
    await until('it has caught up', () => system.eventsNamed('outbox.caught-up').length === 1);
    assert.equal(await countOverdue(system.database.knex), 0);
    assert.equal(system.eventsNamed('outbox.slow').length, 1);
  });

  it('are not the outbox when it keeps what a full queue has no room for', async () => {
    await system.processor([HeldJob], { ...OPTIONS, jobs: { latencyWarningMs: 3000 } });
    await transaction(() => HeldJob.performAllLater(Array.from({ length: 12_000 }, () => [])));
    await until('the queue is full', async () => {
      const [status] = await readQueues(system.redis.client, ['default']);
      return (status?.waiting ?? 0) >= 10_000;
    });
    await until('it is warned of', () => system.eventsNamed('queue.slow').length === 1);
    const from = performance.now();
    await until('it has looked again several times', () => performance.now() - from > 1000);
    assert.equal(system.eventsNamed('outbox.slow').length, 0);
    assert.ok((await countOverdue(system.database.knex)) > 0);
    assert.equal(await countOverdue(system.database.knex, ['default']), 0);
  });
});
