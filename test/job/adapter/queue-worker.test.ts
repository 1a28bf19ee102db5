import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { JobSystem } from '../job-system';

const ran: string[] = [];

class QueueJob extends Job {
  perform(): void {
    ran.push(this.context.queue);
  }
}

const QUEUES = Array.from({ length: 12 }, (_, n) => ({ name: `queue-${n}`, weight: 1 }));

describe('a processor of many queues', () => {
  let system: JobSystem;
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  before(async () => {
    system = await JobSystem.start();
    process.on('warning', onWarning);
  });
  after(async () => {
    process.off('warning', onWarning);
    await system.stop();
  });

  const connections = async () =>
    (await system.redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n').length;

  it('holds few connections, and hears at once of jobs in queues that it does not wait for', async () => {
    const before = await connections();
    await system.processor([QueueJob], { jobs: { queues: QUEUES } });
    await until('its connections are there', async () => (await connections()) === before + 6);
    await until('others know', async () => (await system.redis.client.sCard('catamount:unpeeked')) === 8);
    const waits: number[] = [];
    for (const { name } of [...QUEUES, ...QUEUES]) {
      const count = ran.length;
      const begun = performance.now();
      await QueueJob.set({ queue: name }).performLater();
      await until(`${name} ran`, () => ran.length > count, { everyMs: 1 });
      waits.push(performance.now() - begun);
    }
    const median = waits.sort((a, b) => a - b)[waits.length / 2] ?? 0;
    // The poll alone would take 125 ms on average.
    assert.ok(median < 60, `it took ${waits.map(Math.round)} ms`);
    assert.equal(await connections(), before + 6);
    assert.deepEqual(warnings, []);
  });
});
