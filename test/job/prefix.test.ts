import assert from 'node:assert/strict';
import { readSettings } from '../../lib/core/settings';
import { Job } from '../../lib/job/job';
import { Deadline } from '../../lib/support/deadline';
import { TreeDirectory } from '../../lib/tree/tree-directory';
import { TreeReporter } from '../../lib/tree/tree-reporter';
import { singleTree } from '../ops/single-tree';
import { tell } from '../support/replicated-redis';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { useJobSystem } from './job-system';

const ran: string[] = [];

class PrefixedJob extends Job {
  static override readonly limit = { count: 1 };

  perform(): void {
    ran.push(this.context.queue);
  }
}

const QUEUES = Array.from({ length: 6 }, (_, n) => ({ name: `queue-${n}`, weight: 1 }));

describe('an app with a Redis prefix', () => {
  const system = useJobSystem({ redisPrefix: 'shop' });
  const folder = tempFolder('prefix');
  const env = { NODE_ENV: 'test', WEB_CONCURRENCY: '1', JOB_PROCESSOR: '0' };
  after(() => removeFolder(folder));

  it('has all its keys and channels under it, in one slot, and runs jobs like any other', async () => {
    await system.processor([PrefixedJob], { jobs: { queues: QUEUES }, tuning: { dispatch: { lookMs: 3_600_000 } } });
    for (const [index, { name: queue }] of QUEUES.entries()) {
      await PrefixedJob.set({ queue }).performLater();
      await until(`${queue} ran`, () => ran.length > index);
    }
    const { redis, events } = system;
    const reporter = new TreeReporter({ redis, tree: singleTree(readSettings({ cwd: folder, env }), events), events });
    reporter.appoint(true);
    await until('its tree is listed', async () => (await new TreeDirectory(redis.client).list()).length === 1);
    await PrefixedJob.set({ wait: 100 }).performLater();
    const keys = (await tell(system.redisServer, ['KEYS', '*'])) as string[];
    const channels = (await tell(system.redisServer, ['PUBSUB', 'CHANNELS'])) as string[];
    assert.ok(keys.length > 0 && channels.length > 0);
    assert.deepEqual(
      [...keys, ...channels].filter((name) => !name.startsWith('{shop}')),
      [],
    );
    await reporter.stop(Deadline.after(WAIT_LIMIT_MS));
  });
});
