import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { LatencyMonitor } from '../../../lib/job/processes/latency-monitor';
import { pauseQueue } from '../../../lib/job/row/pauses';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { store } from '../sets/stored-job';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const QUEUES = ['default', 'mailer', 'marker-1', 'marker-2'].map((name) => ({ name, weight: 1 }));
const OPTIONS = { tuning: { infoMs: 40 }, jobs: { latencyWarningMs: 10 * MINUTE, queues: QUEUES } };
const gate = new Gate();

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

describe('warnings about queues that are behind', () => {
  const system = useJobSystem({ gate });

  /** Enqueues jobs that could have run an hour ago. */
  const enqueueLate = async (queue: string, count: number) => {
    const at = Date.now() - HOUR;
    for (let n = 0; n < count; n++) await store(system.database.knex, 'ready', { queue, class: 'HeldJob', at });
  };
  const slow = (queue: string) => system.eventsNamed('queue.latency-high').filter((event) => event.queue === queue);
  /** Waits until the monitor has checked all queues twice: it checks them together. */
  const hasLooked = async () => {
    for (const queue of ['marker-1', 'marker-2']) {
      await enqueueLate(queue, 3);
      await until('the monitor has checked another queue', () => slow(queue).length === 1);
    }
  };

  it('come once, with age and size, and are followed by an event when the queue has caught up', async () => {
    await enqueueLate('default', 5);
    await system.processor([HeldJob], OPTIONS);
    await until('two jobs are running', () => gate.held === 2);
    await hasLooked();
    const [first = assert.fail(), ...more] = slow('default');
    assert.deepEqual(more, []);
    assert.ok(first.size >= 3 && first.latencyMs >= HOUR, `${first.size}, ${first.latencyMs} ms`);
    assert.equal(system.eventsNamed('queue.latency-normal').length, 0);
    gate.open();
    const caughtUp = await until('the queue has caught up', () =>
      system.eventsNamed('queue.latency-normal').find(({ queue }) => queue === 'default'),
    );
    assert.deepEqual(caughtUp, { queue: 'default', latencyMs: 0, size: 0 });
  });

  it('come from the processors that serve the queue, and not while it is paused', async () => {
    await pauseQueue(system.database.knex, 'mailer', 'test');
    for (const queue of ['mailer', 'somebodys']) await enqueueLate(queue, 1);
    const processor = await system.processor([HeldJob], OPTIONS);
    await hasLooked();
    assert.deepEqual([slow('mailer'), slow('somebodys')], [[], []]);
    assert.ok(processor.waiting.some(({ queue, paused }) => queue === 'mailer' && paused));
  });

  it('are forgotten with the jobs that waited, in an idle tree, too', async () => {
    await enqueueLate('default', 1);
    const { knex, events } = { knex: system.database.knex, events: system.events };
    const options = { queues: ['default'], warningMs: 0, everyMs: 5 };
    let isIdle = false;
    const monitor = new LatencyMonitor({ knex, events, ...options, isIdle: () => isIdle });
    monitor.task.start();
    try {
      await until('a job waits', () => monitor.waiting.length === 1);
      isIdle = true;
      await system.postgres.query('delete from job_queue');
      await until('none waits', () => monitor.waiting.length === 0);
    } finally {
      await monitor.task.stop();
    }
  });

  it('do not come when they are switched off', async () => {
    await enqueueLate('default', 5);
    const options = { ...OPTIONS, jobs: { ...OPTIONS.jobs, latencyWarningMs: 0 } };
    const processor = await system.processor([HeldJob], options);
    await until('the monitor has seen that jobs wait', () =>
      processor.waiting.some(({ queue }) => queue === 'default'),
    );
    gate.open();
    await system.stopProcessors();
    assert.equal(system.eventsNamed('queue.latency-high').length, 0);
  });

  it('come while Redis is down', async () => {
    await system.redisServer.kill();
    await until('the loss of Redis is known', () => !system.redis.client.isReady);
    await enqueueLate('default', 4);
    await system.processor([HeldJob], OPTIONS);
    const { latencyMs } = await until('the warning has come', () => slow('default')[0]);
    assert.ok(latencyMs >= HOUR);
    gate.open();
    await until('the queue has caught up', () => system.eventsNamed('queue.latency-normal').length === 1);
    assert.equal(slow('default').length, 1);
  });
});
