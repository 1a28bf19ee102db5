import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { JobAdmin } from '../../lib/job/admin/job-admin';
import { dice } from '../support/dice';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { DyingJob } from './child-jobs';
import { JobStorm } from './storm';

export interface DeathStormOptions {
  /** How many jobs die in one round. */
  readonly jobs: number;
  /** How often something is killed while the jobs of a round die, and again as often after all were retried. */
  readonly kills: number;
  readonly seed: number;
  /** Rounds are repeated for this time, ms. Default: one round. */
  readonly ms?: number;
}

/** Whatever is killed while jobs die, each job is dead exactly once, and nowhere else. */
export function deathStorm({ jobs, kills, seed, ms = 0 }: DeathStormOptions): void {
  describe(`${jobs} jobs that die under kill -9 of everything (seed ${seed})`, () => {
    const roll = dice(seed);
    const storm = new JobStorm();
    const query = <Row extends Record<string, unknown>>(sql: string) => storm.query<Row>(sql);
    before(() => storm.start());
    after(() => storm.stop());

    const deadIds = async () =>
      (await query<{ id: string }>('select id from job_dead order by id')).map(({ id }) => id);

    /** @param died returns how many deaths Postgres has recorded. */
    async function die(ids: readonly string[], died: () => Promise<number>): Promise<void> {
      for (let kill = 1; kill <= kills; kill++) {
        const wanted = Math.floor((ids.length * (kill - 1 + roll(100) / 100)) / (kills + 1));
        await until(`${wanted} have died`, async () => (await died()) >= wanted);
        await storm.strike();
      }
      const expected = [...ids].sort();
      await until(
        'all jobs are dead, and nothing is left of them elsewhere',
        async () => {
          assert.deepEqual(await deadIds(), expected);
          assert.deepEqual(await query('select id from job_queue'), []);
          return true;
        },
        { timeoutMs: 2 * WAIT_LIMIT_MS, everyMs: 100 },
      );
    }

    it('are each dead once, and once again after a retry, and nowhere else', async function () {
      const round = WAIT_LIMIT_MS * (2 * kills + 6);
      this.timeout(ms + round);
      const end = performance.now() + ms;
      let deaths = 0;
      do {
        const numbers = Array.from({ length: jobs }, (_, n) => [n] as [number]);
        const enqueued = await DyingJob.performAllLater(numbers);
        // A killed Postgres of this kind forgets the commits of the last moments.
        await query('checkpoint');
        await die(
          enqueued.map(({ id }) => id),
          async () => (await deadIds()).length,
        );
        const before = (await query<{ at: string }>('select max(died_at)::text as at from job_dead'))[0]?.at ?? '';
        const sources = {
          knex: storm.database.knex,
          events: new Events(),
          queues: [],
          via: 'cli:storm' as const,
        };
        const dead = new JobAdmin(sources).set('dead');
        await until('all dead jobs are retried', async () => (await dead.move('retry', { filter: {} })).complete);
        await query('checkpoint');
        await die(
          enqueued.map(({ id }) => id),
          async () => (await query(`select from job_dead where died_at > '${before}'`)).length,
        );
        const again = await query(`select from job_dead where died_at > '${before}'`);
        assert.equal(again.length, enqueued.length, 'each job has died once more');
        deaths += enqueued.length + again.length;
        await query('truncate job_dead');
      } while (performance.now() < end);
      this.runnable().title += `: ${deaths} deaths, ${storm.killed} times kill -9`;
    });
  });
}
