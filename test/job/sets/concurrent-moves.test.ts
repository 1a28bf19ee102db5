import assert from 'node:assert/strict';
import type { Knex } from 'knex';
import { Events } from '../../../lib/core/events';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { deferred } from '../../../lib/support/deferred';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from './set-sources';
import { store, storeDead } from './stored-job';

const COUNT = 200;
const ran: number[] = [];
let mood: 'die' | 'fail' | 'work' = 'work';

class CountedJob extends Job<[n: number]> {
  static override retryIn = () => '30d' as const;

  perform(n: number): void {
    ran.push(n);
    if (mood === 'die') throw new KillJob('again');
    if (mood === 'fail') throw new Error('not yet');
  }
}

describe('two operators at the same time', () => {
  after(() => theirDatabase.stop(Deadline.after(10_000)));
  const system = useJobSystem({
    empty: [ran],
    reset: () => {
      mood = 'work';
    },
  });
  const theirDatabase = inSuite(undefined, () => {
    return new Database(system.postgres.url, { production: false, events: new Events(), poolMax: 4 });
  });
  const mine = inSuite(undefined, () => setsOf(setSources(system)));
  const theirs = inSuite(undefined, () =>
    setsOf({ ...setSources(system), knex: theirDatabase.knex, via: 'cli:another' }),
  );

  const died = Date.now() - 60_000;
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
  const bury = () =>
    Promise.all(
      numbers(COUNT).map((n) => {
        const job = { class: 'CountedJob', args: [n], errors: ['once'], reason: 'once', at: died + n };
        return storeDead(system.database.knex, job);
      }),
    );
  const schedule = async () => {
    const jobs = await CountedJob.set({ wait: '1h' }).performAllLater(numbers(COUNT).map((n) => [n] as const));
    return jobs.map(({ id }) => id);
  };

  /** The ids of jobs that are on their way back to their queue. */
  const retried = async () => {
    const rows = await system.postgres.query<{ id: string }>("select id from job_queue where state = 'ready'");
    return rows.map(({ id }) => id);
  };
  const sum = async (results: Promise<{ moved: number }>[]) =>
    (await Promise.all(results)).reduce((total, { moved }) => total + moved, 0);
  const inOrder = (ids: readonly string[]) => [...ids].sort();

  it('may retry the same dead jobs, each of which is queued once', async () => {
    const ids = await bury();
    const clicks = ids.flatMap((id) => [
      isMoved(mine.dead.move('retry', { ids: [id] })),
      isMoved(theirs.dead.move('retry', { ids: [id] })),
    ]);
    assert.equal((await Promise.all(clicks)).filter(Boolean).length, COUNT);
    assert.deepEqual(inOrder(await retried()), inOrder(ids));
    assert.equal(await system.jobCount(), COUNT);
    assert.equal(await mine.dead.count(), 0);
    await system.processor([CountedJob]);
    await until('all jobs have run', () => ran.length >= COUNT);
    await until('no job is left', async () => (await system.jobCount()) === 0);
    assert.deepEqual([ran.length, new Set(ran).size], [COUNT, COUNT]);
  });

  it('may retry and delete the same jobs, each of which either runs or is gone', async () => {
    const ids = await bury();
    assert.equal(
      await sum([mine.dead.move('retry', { ids }), theirs.dead.move('delete', { ids: ids.toReversed() })]),
      COUNT,
    );
    const queued = await retried();
    assert.equal(await mine.dead.count(), 0);
    await system.processor([CountedJob]);
    await until('no job is left', async () => (await system.jobCount()) === 0);
    await until('the retried jobs have run', () => ran.length >= queued.length);
    assert.equal(new Set(ran).size, queued.length);
  });

  it('may promote, kill and delete the same scheduled jobs, each of which is moved by one', async () => {
    const ids = await schedule();
    const [run, killed, deleted] = await Promise.all([
      mine.scheduled.move('promote', { ids }),
      theirs.scheduled.move('kill', { filter: {} }),
      mine.scheduled.move('delete', { filter: { class: 'CountedJob' } }),
    ]);
    assert.equal(run.moved + killed.moved + deleted.moved, COUNT);
    assert.equal(await mine.dead.count(), killed.moved);
    assert.equal(await system.jobCount(), run.moved);
    assert.equal(await mine.scheduled.count(), 0);
    await system.processor([CountedJob]);
    await until('the promoted jobs have run', () => ran.length >= run.moved);
    await until('no job is left', async () => (await system.jobCount()) === 0);
    assert.equal(new Set(ran).size, run.moved);
  });

  for (const [what, move] of [
    ['kill', (set: Sets['scheduled'], id: string) => isMoved(set.move('kill', { ids: [id] }))],
    ['delete', (set: Sets['scheduled'], id: string) => isMoved(set.move('delete', { ids: [id] }))],
    ['promote', (set: Sets['scheduled'], id: string) => isMoved(set.move('promote', { ids: [id] }))],
  ] as const) {
    it(`do not ${what} a job that the other has promoted meanwhile`, async () => {
      const { id } = await CountedJob.set({ wait: '1h' }).performLater(1);
      const [locked, end] = [deferred(), deferred()];
      const running = system.database.knex.transaction(async (trx) => {
        await trx.raw('select id from job_queue for update');
        locked.resolve();
        await end.promise;
        await trx.raw(`update job_queue set run_at = clock_timestamp(), state = 'ready'`);
      });
      await locked.promise;
      const late = move(theirs.scheduled, id);
      await until('the second move waits for the row', async () => {
        const waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%job_queue%'";
        return (await system.postgres.query(waits)).length > 0;
      });
      end.resolve();
      await running;
      assert.equal(await late, false);
      const [row] = await system.postgres.query('select run_at <= clock_timestamp() as due from job_queue');
      assert.deepEqual(row, { due: true });
    });
  }

  it('do not retry jobs again that fail before the move has ended', async () => {
    const count = 2 * COUNT + 50;
    await Promise.all(
      numbers(count).map((n) => {
        const at = Date.now() + 3_600_000 + n;
        return store(system.database.knex, 'scheduled', { class: 'CountedJob', args: [n], errors: ['once'], at });
      }),
    );
    mood = 'fail';
    await system.processor([CountedJob], { jobs: { concurrency: 20 } });
    const { knex } = system.database;
    /** So slow that all moved jobs have failed again before the next chunk. */
    const slow: Knex = Object.create(knex, {
      raw: {
        value: async (...args: Parameters<Knex['raw']>) => {
          const busy = "select 1 from job_queue where state in ('ready', 'running') limit 1";
          await until('nothing waits or runs', async () => (await system.postgres.query(busy)).length === 0);
          return knex.raw(...args);
        },
      },
    });
    const patient = setsOf({ ...setSources(system), knex: slow });
    assert.deepEqual(await patient.retry.move('retry', { filter: {} }), { moved: count, complete: true });
    await until('all jobs have failed again', async () => (await mine.retry.count()) === count);
    assert.equal(ran.length, count);
  });

  it('may stop a long move, and continue it', async () => {
    await bury();
    const controller = new AbortController();
    controller.abort();
    const none = await mine.dead.move('delete', { filter: {} }, { signal: controller.signal });
    assert.deepEqual(none, { moved: 0, complete: false });
    assert.deepEqual(await mine.dead.move('delete', { filter: {} }, { limit: 30 }), { moved: 30, complete: false });
    const left = (await mine.dead.page({ limit: 500 })).entries.map((entry) => entry.id);
    assert.equal(left.length, COUNT - 30);
    assert.deepEqual(await mine.dead.move('delete', { ids: left }, { limit: 70 }), { moved: 70, complete: false });
    assert.deepEqual(await mine.dead.move('delete', { filter: {} }), { moved: 100, complete: true });
    assert.deepEqual(await mine.dead.move('delete', { ids: left }), { moved: 0, complete: true });
    await assert.rejects(mine.dead.move('delete', { filter: {} }, { limit: -1 }), /limit is -1/);
  });
});
