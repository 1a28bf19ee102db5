import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { readEnding } from '../../lib/job/record/ending';
import { dice } from '../support/dice';
import { LONG_SEED, sized } from '../support/long-form';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { KeptJob } from './child-jobs';
import { JobStorm } from './storm';

const { jobs, kills, seed } = sized({ jobs: 3000, kills: 6, seed: 4 }, { jobs: 50_000, kills: 30, seed: LONG_SEED });

describe('jobs that are kept, under kill -9 of everything and with Redis emptied', () => {
  const roll = dice(seed);
  const storm = new JobStorm();
  before(() => storm.start());
  after(() => storm.stop());

  it(`are each kept once, with the result for which somebody waits all the time (seed ${seed})`, async function () {
    this.timeout(WAIT_LIMIT_MS * (sized(1, 3) * kills + 6));
    await storm.query('create table effects (what text)');
    const count = async (sql: string) =>
      (await storm.query<{ n: number }>(`select count(*)::int as n ${sql}`))[0]?.n ?? 0;
    const kept = () => count('from job_finished');
    const ids: string[] = [];
    for (let n = 0; n < jobs; n += 1000) {
      const numbers = Array.from({ length: 1000 }, (_, i): [number] => [n + i]);
      ids.push(...(await KeptJob.performAllLater(numbers)).map(({ id }) => id));
    }
    // A killed Postgres of this kind forgets the commits of the last moments.
    await storm.query('checkpoint');
    const results = Promise.allSettled(ids.map((id) => Job.result(id, { timeout: '1h' })));
    let lost = 0;
    for (let kill = 0; kill < kills; kill++) {
      const wanted = Math.floor((jobs * (kill + roll(100) / 100)) / (kills + 1));
      const patience = { everyMs: 10, timeoutMs: sized(1, 3) * WAIT_LIMIT_MS };
      await until(`${wanted} are kept`, async () => (await kept()) >= wanted, patience);
      // Of the others each may be hit while it has no run in hand.
      if ((await storm.strike(kill % 2 === 0 ? 'processor' : undefined)) === 'processor')
        lost += await count(`from job_queue where state = 'running'`);
    }
    await until('all jobs are done', async () => (await count('from job_queue')) === 0);
    assert.ok(lost > 0, 'kills have hit jobs that ran');
    assert.deepEqual(
      await results,
      ids.map((_, n) => ({ status: 'fulfilled', value: { n } })),
    );
    const rows = await storm.query<{ id: string; ending: string }>('select id, ending from job_finished');
    const logs = new Map(rows.map(({ id, ending }) => [id, readEnding(ending).log?.map(({ text }) => text)]));
    assert.equal(rows.length, jobs);
    assert.deepEqual(
      ids.map((id) => logs.get(id)),
      ids.map((_, n) => [`line of ${n}`]),
    );
    const repeated = await storm.query('select what from effects group by what having count(*) <> 1');
    assert.deepEqual([repeated, await count('from effects'), await count('from job_dead')], [[], jobs / 2, 0]);
    this.runnable().title += `: ${jobs} jobs, ${storm.killed} times kill -9, ${lost} runs cut off`;
  });
});
