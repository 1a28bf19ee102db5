import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { listProcesses } from '../../lib/job/processes/process-list';
import { tell } from '../support/replicated-redis';
import { until } from '../support/until';
import { useJobSystem } from './job-system';

const ran: string[] = [];

class PrefixedJob extends Job {
  static override readonly concurrency = 1;

  perform(): void {
    ran.push(this.context.queue);
  }
}

const QUEUES = Array.from({ length: 6 }, (_, n) => ({ name: `queue-${n}`, weight: 1 }));

describe('an app with a Redis prefix', () => {
  const system = useJobSystem({ redisPrefix: 'shop' });

  it('has all its keys and channels under it, in one slot, and runs jobs like any other', async () => {
    await system.processor([PrefixedJob], { jobs: { queues: QUEUES }, tuning: { dispatch: { lookMs: 3_600_000 } } });
    for (const [index, { name: queue }] of QUEUES.entries()) {
      await PrefixedJob.set({ queue }).performLater();
      await until(`${queue} ran`, () => ran.length > index);
    }
    const [listed, ...others] = await listProcesses(system.redis.client);
    assert.deepEqual([listed?.queues.length, others], [6, []]);
    await PrefixedJob.set({ wait: 100 }).performLater();
    const keys = (await tell(system.redisServer, ['KEYS', '*'])) as string[];
    const channels = (await tell(system.redisServer, ['PUBSUB', 'CHANNELS'])) as string[];
    assert.ok(keys.length > 0 && channels.length > 0);
    assert.deepEqual(
      [...keys, ...channels].filter((name) => !name.startsWith('{shop}')),
      [],
    );
  });
});
