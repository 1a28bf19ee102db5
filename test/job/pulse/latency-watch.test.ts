import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { overdueRows } from '../../../lib/job/outbox/overdue';
import { queueLatencies } from '../../../lib/job/pulse/queue-latencies';
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
    assert.deepEqual([slow.queue, slow.size], ['default', 3]);
    assert.ok(slow.latencyMs > 400 && slow.latencyMs < 5000, `${slow.latencyMs} ms`);
    const more = slow.latencyMs + 400;
    const age = async () => (await queueLatencies(system.redis.client, ['default']))[0]?.latencyMs ?? 0;
    await until('it has waited on for long', async () => (await age()) > more);
    assert.equal(system.eventsNamed('queue.slow').length, 1, 'not again');
    assert.equal(system.eventsNamed('queue.caught-up').length, 0);
    gate.open();
    const caughtUp = await until('it has caught up', () => system.eventsNamed('queue.caught-up')[0]);
    assert.deepEqual(caughtUp, { queue: 'default', latencyMs: 0, size: 0 });
  });

  it('are not those that are paused, nor any when it is switched off', async () => {
    await system.redis.client.set('bq:mailer:paused', '1');
    const processor = await system.processor([HeldJob], { ...OPTIONS, jobs: { latencyWarningMs: 0 } });
    processor.quiet();
    await HeldJob.set({ queue: 'mailer' }).performLater();
    await HeldJob.performLater();
    const latencies = await until('the job has waited', async () => {
      const all = await queueLatencies(system.redis.client, ['default', 'mailer']);
      return (all[0]?.latencyMs ?? 0) > 600 && all;
    });
    assert.deepEqual(latencies[1], { queue: 'mailer', latencyMs: 0, size: 1 });
    assert.equal(system.eventsNamed('queue.slow').length, 0);
  });

  it('count their own unreadable jobs as new', async () => {
    await system.redis.client.lPush('bq:default:waiting', ['a', 'b']);
    await system.redis.client.hSet('bq:default:jobs', 'a', 'not JSON');
    assert.deepEqual(await queueLatencies(system.redis.client, ['default']), [
      { queue: 'default', latencyMs: 0, size: 2 },
    ]);
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
    assert.deepEqual(await overdueRows(system.database.knex), { latencyMs: 0, size: 0 });
    assert.equal(system.eventsNamed('outbox.slow').length, 1);
  });
});
