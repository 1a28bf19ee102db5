import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { performAllLater } from '../../../lib/job/job';
import { until } from '../../support/until';
import { OnceOnlyJob } from '../child-jobs';
import { killChild, startChildProcessor } from '../child-processor';
import { useJobSystem } from '../job-system';

const JOBS = 3000;
const KILLS = 12;

describe('steps and commit, while processors are killed and Redis is emptied', () => {
  const children: ChildProcess[] = [];
  const system = useJobSystem();
  afterEach(() => Promise.all(children.splice(0).map(killChild)));

  it('have each effect exactly once', async () => {
    await system.postgres.query('create table effects (what text)');
    const start = (identity: string, dead: readonly string[]) => {
      const child = startChildProcessor(system.urls, { lineage: { identity, dead }, concurrency: 10 });
      children.push(child);
      return child;
    };
    const effects = async () => {
      const [row] = await system.postgres.query<{ n: number }>('select count(*)::int as n from effects');
      return row?.n ?? 0;
    };
    await performAllLater(Array.from({ length: JOBS }, (_, n) => OnceOnlyJob.prepare(n)));
    let lost = 0;
    let kill = 0;
    // The last third is left for the processor that finishes.
    for (; kill < KILLS && (await effects()) < 2 * JOBS; kill++) {
      const identity = `killed ${kill}`;
      const child = start(identity, kill === 0 ? [] : [`killed ${kill - 1}`]);
      const before = await effects();
      await until('it has made some effects', async () => (await effects()) > before + 100);
      await killChild(child);
      const [row] = await system.postgres.query<{ n: number }>(
        `select count(*)::int as n from job_queue where state = 'running'`,
      );
      lost += row?.n ?? 0;
      if (kill % 4 === 1) await system.redis.client.flushAll();
    }
    assert.ok(lost > 0, 'kills have hit jobs that ran');
    start('last', [`killed ${kill - 1}`]);
    await until('all jobs are done', async () => (await system.jobCount()) === 0);
    const repeated = await system.postgres.query('select what from effects group by what having count(*) <> 1');
    assert.deepEqual([repeated, await effects(), await system.deadIds()], [[], 3 * JOBS, []]);
  });
});
