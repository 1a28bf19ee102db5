import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { tell } from '../support/replicated-redis';
import { until } from '../support/until';
import { useJobSystem } from './job-system';
import { store } from './sets/stored-job';

const ran: string[] = [];
let ranAt = 0;

class QueueJob extends Job {
  perform(): void {
    ranAt = Date.now();
    ran.push(this.context.queue);
  }
}

const QUEUES = Array.from({ length: 12 }, (_, n) => ({ name: `queue-${n}`, weight: 1 }));
/** Only a wake can make the processor fetch. */
const NO_POLL = { pollMs: 3_600_000 };

describe('an idle processor', () => {
  const system = useJobSystem(() => {
    ran.length = 0;
  });

  const connections = async () =>
    (await system.redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n').length;

  it('is woken by each job, and by a scheduled one no earlier than it is due', async () => {
    await system.processor([QueueJob], { tuning: NO_POLL });
    for (const count of [1, 2, 3]) {
      await QueueJob.performLater();
      await until('the job has run', () => ran.length === count);
    }
    const due = Date.now() + 250;
    await QueueJob.set({ wait: 250 }).performLater();
    await until('the job has run', () => ran.length === 4);
    assert.ok(ranAt >= due, `${due - ranAt} ms too early`);
  });

  it('runs a job that falls due although its notification was missed while the connection was cut', async () => {
    await system.processor([QueueJob], { tuning: NO_POLL });
    await QueueJob.performLater();
    await until('the first job has run', () => ran.length === 1);
    const due = Date.now() + 100;
    await store(system.redis.client, 'delayed', { class: 'QueueJob', at: due });
    await tell(system.redisServer, ['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await until('the job has run', () => ran.length === 2);
    // bee-queue itself checks only once a minute.
    assert.ok(ranAt - due < 30_000, `${ranAt - due} ms late`);
  });

  it('is woken by the job of a plain producer, which sends no wake', async () => {
    await system.processor([QueueJob], { tuning: NO_POLL });
    for (const count of [1, 2, 3]) {
      await store(system.redis.client, 'waiting', { class: 'QueueJob' });
      await until('the job has run', () => ran.length === count);
    }
  });

  it('with many queues holds few connections, and is woken by jobs in queues that it does not block on', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    try {
      const before = await connections();
      await system.processor([QueueJob], { jobs: { queues: QUEUES }, tuning: NO_POLL });
      await until('the processor has its connections', async () => (await connections()) === before + 5);
      await until(
        'producers can see the unwatched queues',
        async () => (await system.redis.client.sCard('catamount:unwatched')) === 8,
      );
      const names = [...QUEUES, ...QUEUES].map(({ name }) => name);
      for (const [index, name] of names.entries()) {
        await QueueJob.set({ queue: name }).performLater();
        await until(`${name} ran`, () => ran.length > index);
      }
      assert.deepEqual(ran, names);
      assert.equal(await connections(), before + 5);
      assert.deepEqual(warnings, []);
    } finally {
      process.off('warning', onWarning);
    }
  });
});
