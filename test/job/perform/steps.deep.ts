import assert from 'node:assert/strict';
import { performAllLater } from '../../../lib/job/job';
import { dice } from '../../support/dice';
import { LONG_SEED, sized } from '../../support/long-form';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';
import { OnceOnlyJob } from '../child-jobs';
import { JobStorm } from '../storm';

const { jobs, kills, seed } = sized({ jobs: 3000, kills: 6, seed: 1 }, { jobs: 100_000, kills: 60, seed: LONG_SEED });

describe('steps and commit, under kill -9 of everything and with Redis emptied', () => {
  const roll = dice(seed);
  const storm = new JobStorm();
  before(() => storm.start());
  after(() => storm.stop());

  it(`have each effect exactly once (seed ${seed})`, async function () {
    this.timeout(WAIT_LIMIT_MS * (sized(1, 10) * kills + 6));
    await storm.query('create table effects (what text)');
    const count = async (sql: string) =>
      (await storm.query<{ n: number }>(`select count(*)::int as n ${sql}`))[0]?.n ?? 0;
    const effects = () => count('from effects');
    for (let n = 0; n < jobs; n += 1000)
      await performAllLater(Array.from({ length: 1000 }, (_, i) => OnceOnlyJob.prepare(n + i)));
    // A killed Postgres of this kind forgets the commits of the last moments.
    await storm.query('checkpoint');
    let lost = 0;
    for (let kill = 0; kill < kills; kill++) {
      const wanted = Math.floor((3 * jobs * (kill + roll(100) / 100)) / (kills + 1));
      await until(`${wanted} effects were made`, async () => (await effects()) >= wanted, {
        everyMs: 20,
        timeoutMs: sized(1, 10) * WAIT_LIMIT_MS,
      });
      if ((await storm.strike()) === 'processor') lost += await count(`from job_queue where state = 'running'`);
    }
    assert.ok(lost > 0, 'kills have hit jobs that ran');
    await until('all jobs are done', async () => (await count('from job_queue')) === 0);
    const repeated = await storm.query('select what from effects group by what having count(*) <> 1');
    assert.deepEqual([repeated, await effects(), await count('from job_dead')], [[], 3 * jobs, 0]);
    this.runnable().title += `: ${jobs} jobs, ${storm.killed} times kill -9, ${lost} runs cut off`;
  });
});
