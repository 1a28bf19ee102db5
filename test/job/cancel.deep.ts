import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { dice } from '../support/dice';
import { LONG_SEED, sized } from '../support/long-form';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { StoppableJob } from './child-jobs';
import { JobStorm } from './storm';

const { jobs, kills, seed } = sized({ jobs: 3000, kills: 9, seed: 3 }, { jobs: 30_000, kills: 60, seed: LONG_SEED });

describe('jobs that are cancelled at any moment under kill -9', () => {
  const roll = dice(seed);
  const storm = new JobStorm();
  before(() => storm.start());
  after(() => storm.stop());

  it(`have one outcome each, and none is stuck (seed ${seed})`, async function () {
    this.timeout(WAIT_LIMIT_MS * (sized(1, 10) * kills + 6));
    await storm.query('create table effects (what text)');
    const count = async (sql: string) =>
      (await storm.query<{ n: number }>(`select count(*)::int as n ${sql}`))[0]?.n ?? 0;
    const enqueued = await StoppableJob.performAllLater(Array.from({ length: jobs }, (_, n) => [n] as [number]));
    const ids = enqueued.map(({ id }) => id);
    /** What the first cancel of a job has answered, by its number. */
    const answers = new Map<number, string>();
    const cancel = async (n: number) => {
      const id = ids[n];
      if (id === undefined || answers.has(n)) return;
      answers.set(n, 'open');
      answers.set(n, await Job.cancel(id));
    };
    for (let kill = 0; kill < kills; kill++) {
      const left = Math.floor((jobs * (kills - kill - roll(100) / 100)) / (kills + 1));
      const patience = { everyMs: 1, timeoutMs: sized(1, 10) * WAIT_LIMIT_MS };
      await until(
        `${left} jobs are left, of which some are cancelled`,
        async () => {
          // Those that run, or will soon, and some that wait for long.
          const running = await storm.query<{ n: number }>(
            `select (payload->'args'->>0)::int as n from job_queue where state = 'running'`,
          );
          const chosen = [...running.map(({ n }) => n).filter(() => roll(3) === 0), roll(jobs)];
          await Promise.all(chosen.map(cancel));
          return (await count('from job_queue')) <= left;
        },
        patience,
      );
      await storm.strike(kill % 3 === 2 ? 'redis' : 'processor');
    }
    await until('no job is left', async () => (await count('from job_queue')) === 0);
    const ends = new Map(
      (await storm.query<{ what: string; n: number }>('select what, count(*)::int as n from effects group by 1')).map(
        ({ what, n }) => [Number(what), n],
      ),
    );
    // A job ends as often as it may, given what its cancel has answered.
    const wrong = ids.flatMap((_, n) => {
      const [ended, answer = 'none'] = [ends.get(n) ?? 0, answers.get(n)];
      const isRight = answer === 'requested' ? ended <= 1 : ended === (answer === 'cancelled' ? 0 : 1);
      return isRight ? [] : [{ n, ended, answer }];
    });
    assert.deepEqual([wrong, await count('from job_dead')], [[], 0]);
    const given = (wanted: string) => [...answers.values()].filter((answer) => answer === wanted).length;
    const cut = [...answers].filter(([n, answer]) => answer === 'requested' && !ends.has(n)).length;
    assert.ok(given('cancelled') > 0 && cut > 0, 'jobs were cancelled that waited, and that ran');
    this.runnable().title += `: ${given('cancelled')} waited, ${given('requested')} ran, ${cut} of these were cut off, ${storm.killed} times kill -9`;
  });
});
