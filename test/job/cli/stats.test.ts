import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { PublishedTrees } from '../../ops/overview/published-trees';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { CommandLine } from './command-line';

const gate = new Gate();

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

class BrokenJob extends Job {
  perform(): void {
    throw new Error('broken');
  }
}

const CLASSES = [HeldJob, BrokenJob];

describe('jobs stats', () => {
  const system = useJobSystem({ gate });
  const commandLine = inSuite(undefined, () => new CommandLine(system, CLASSES, { via: 'cli:ada' }));

  const start = async (identity: string) => {
    const limits = { jobConcurrency: 3 };
    await new PublishedTrees(system.redisServer).publishProcessor({ identity, limits, busy: 1 });
    await system.processor(CLASSES, {
      tuning: { infoMs: 60 },
      lineage: { identity, dead: [] },
      jobs: { concurrency: limits.jobConcurrency },
    });
  };

  it('say when no job processor is alive', async () => {
    assert.match((await commandLine.run('stats')).text, /^Busy {7}0: no job processor is alive$/m);
  });

  it('sum up the jobs that are done, failed, running and due', async () => {
    await start('tree-0');
    await HeldJob.set({ wait: '1h' }).performLater();
    await BrokenJob.performLater();
    await HeldJob.performLater();
    const stats = async () => (await commandLine.run('stats')).json;
    await until('the failure is counted', async () => {
      const { total, busy, retry } = await stats();
      return (total as { failed: number }).failed === 1 && busy === 1 && retry === 1;
    });
    // As if another had failed in the last hour of yesterday.
    await system.postgres.query(
      `insert into job_stats (span, at, kind, name, counts, maxima)
       select span, date_trunc('day', at, 'UTC') - interval '1 hour', kind, name, counts, maxima from job_stats where span = 'hour'`,
    );
    const { text, json } = await commandLine.run('stats');
    assert.deepEqual([json.retry, json.scheduled, json.dead, json.busy, json.processes], [1, 1, 0, 1, 1]);
    for (const line of [
      /^Done {7}0$/,
      /^Failed {5}1, 1 of them today \(UTC\)$/,
      /^Busy {7}1 of 3, in 1 job processor$/,
    ])
      assert.ok(
        text.split('\n').some((one) => line.test(one)),
        `${line} is not in\n${text}`,
      );
    assert.match(text, /^queue +waiting +running +blocked +latency +state\ndefault +0 +1 +0 +\d+ ms +open$/m);
    const [queue] = json.queues as readonly Record<string, unknown>[];
    assert.deepEqual([queue?.name, queue?.active, queue?.paused], ['default', 1, null]);
  });
});
