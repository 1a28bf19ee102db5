import assert from 'node:assert/strict';
import { performAllLater } from '../../lib/job/job';
import { dice } from '../support/dice';
import { LONG_SEED, sized } from '../support/long-form';
import { ReplicatedPostgres } from '../support/replicated-postgres';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { OnceOnlyJob } from './child-jobs';
import { JobStorm } from './storm';

const { jobs, strikes, seed } = sized(
  { jobs: 1500, strikes: 5, seed: 1 },
  { jobs: 100_000, strikes: 20, seed: LONG_SEED },
);
/** In turn. The first time, and each second time after it, Redis loses its data. */
const VICTIMS = ['postgres', 'processor', 'redis', 'postgres', 'processor', 'redis'] as const;
const ENQUEUERS = 3;
const AT_ONCE = 5;
/** Portions that are enqueued around a strike, however many jobs wait. */
const OF_STRIKE = 50;
const MOST_WAITING = 500;

describe('jobs whose Postgres fails over to a standby, while processors are killed and Redis is emptied', () => {
  const roll = dice(seed);
  const postgres = new ReplicatedPostgres();
  const storm = new JobStorm(postgres);
  before(() => storm.start());
  after(() => storm.stop());

  it(`have each effect of their steps and commit once, and none that was enqueued is lost (seed ${seed})`, async function () {
    this.timeout(WAIT_LIMIT_MS * (sized(1, 3) * strikes + 6));
    await storm.query('create table effects (what text)');
    const count = async (sql: string) =>
      (await storm.query<{ n: number }>(`select count(*)::int as n ${sql}`))[0]?.n ?? 0;
    const effects = () => count('from effects');
    const left = () => count('from job_queue');
    const accepted = new Set<number>();
    let next = 0;
    let portions = 0;
    const enqueue = async () => {
      while (accepted.size < jobs) {
        if (portions-- <= 0) await until('fewer wait', async () => (await left()) < MOST_WAITING);
        const numbers = Array.from({ length: AT_ONCE }, () => next++);
        try {
          await performAllLater(numbers.map((n) => OnceOnlyJob.prepare(n)));
          for (const n of numbers) accepted.add(n);
        } catch {
          // They may be enqueued all the same, since the answer to a COMMIT may be lost.
          await until('Postgres answers', async () => (await left()) >= 0);
        }
      }
    };
    const enqueuing = Promise.all(Array.from({ length: ENQUEUERS }, enqueue));
    let lost = 0;
    for (let strike = 0; strike < strikes; strike++) {
      const wanted = Math.floor((3 * jobs * (strike + roll(100) / 100)) / (strikes + 1));
      const patience = { everyMs: 20, timeoutMs: sized(1, 3) * WAIT_LIMIT_MS };
      await until(`${wanted} effects were made`, async () => (await effects()) >= wanted, patience);
      // Some are enqueued in the very moment.
      portions = OF_STRIKE;
      if ((await storm.strike(VICTIMS[strike % VICTIMS.length])) === 'processor')
        lost += await count(`from job_queue where state = 'running'`);
    }
    await enqueuing;
    await until('all jobs are done', async () => (await left()) === 0);
    assert.ok(lost > 0, 'kills have hit jobs that ran');
    const made = await storm.query<{ n: number; whats: string[] }>(
      `select split_part(what, ' ', 1)::int as n, array_agg(split_part(what, ' ', 2) order by what) as whats
       from effects group by 1`,
    );
    const whats = new Map(made.map((job) => [job.n, String(job.whats)]));
    const wrong = Array.from({ length: next }, (_, n) => ({
      n,
      isAccepted: accepted.has(n),
      what: whats.get(n) ?? 'none',
    })).filter(({ isAccepted, what }) => what !== 'end,first,second' && (isAccepted || what !== 'none'));
    assert.deepEqual([wrong, await count('from job_dead')], [[], 0]);
    const failovers = Array.from({ length: strikes }, (_, n) => VICTIMS[n % VICTIMS.length]);
    assert.equal(postgres.failovers, failovers.filter((victim) => victim === 'postgres').length);
    this.runnable().title += `: ${accepted.size} jobs, ${postgres.failovers} failovers, ${storm.killed} times kill -9, ${lost} runs cut off, ${next - accepted.size} enqueued without an answer`;
  });
});
