import assert from 'node:assert/strict';
import { RateLimited } from '../../lib/job/definition/errors';
import { limitRule } from '../../lib/job/definition/limits';
import { Job } from '../../lib/job/job';
import { insertJobs } from '../../lib/job/row/insert';
import { readInstallation } from '../../lib/job/row/installation';
import { admit, claimLimited, dueKeys } from '../../lib/job/row/limited';
import { timeOrderedUuid } from '../../lib/support/uuid';
import { until } from '../support/until';
import { useJobSystem } from './job-system';
import { recordStarts } from './starts';

class CallJob extends Job<[api: string]> {
  static override readonly limit = { count: 3, key: (api: string) => api };
  static override readonly rate = { limit: 20, per: '1s', key: (api: string) => api } as const;

  perform(_: string): void {}
}

const busy = new Set<string>();
const ran: string[] = [];

function ask(api: string): void {
  if (busy.has(api)) {
    ran.push(`${api} asked`);
    throw new RateLimited({ after: '1h', ...(api === 'for b' && { key: 'b' }) });
  }
  ran.push(api);
}

class AskedJob extends Job<[api: string]> {
  static override readonly limit = { count: 10, key: (api: string) => api };

  perform(api: string): void {
    ask(api);
  }
}

class FreeJob extends Job<[api: string]> {
  perform(api: string): void {
    ask(api);
  }
}

describe('rates', () => {
  const system = useJobSystem({
    reset: () => {
      busy.clear();
      ran.length = 0;
    },
  });
  const nothingLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);

  it('space the starts of each key, over all processors, and leave nothing behind', async () => {
    const starts = await recordStarts(system.postgres);
    for (let n = 0; n < 3; n++) await system.processor([CallJob], { redisOff: n === 2 });
    await CallJob.performAllLater(['a', 'b'].flatMap((api) => Array.from({ length: 8 }, (): [string] => [api])));
    await nothingLeft();
    for (const api of ['a', 'b']) {
      const at = await starts(`CallJob:${api}`);
      assert.equal(at.length, 8);
      const gaps = at.slice(1).map((ms, n) => ms - (at[n] ?? 0));
      assert.ok(Math.min(...gaps) >= 49.9, `two starts of ${api} are ${Math.min(...gaps)} ms apart`);
    }
    const rows = async () => (await system.postgres.query('select 1 from job_rates')).length;
    await until('nothing is kept of the keys', async () => (await rows()) === 0);
  });

  describe('of rows', () => {
    const KEY = 'CallJob';
    const LIMITS = new Map([[KEY, { count: null, gapMs: 60_000, burst: 2, key: undefined }]]);
    const counts = async () => {
      const rows = await system.postgres.query<{ state: string; count: number }>(
        'select state, count(*)::int from job_queue group by state order by state',
      );
      return rows.map(({ state, count }) => `${count} ${state}`).join(', ');
    };
    const claim = async () => {
      const { knex } = system.database;
      const origin = (await readInstallation(knex)).here;
      return (await claimLimited(knex, { identity: 'a', origin }, { queues: ['default'], limit: 10 }, LIMITS)).claimed
        .length;
    };
    const enqueue = (count: number) =>
      insertJobs(
        system.database.knex,
        Array.from({ length: count }, () => ({
          id: timeOrderedUuid(),
          queue: 'default',
          class: KEY,
          payload: '{"class":"CallJob"}',
          tags: [],
          runAt: undefined,
          limitKey: KEY,
        })),
      );
    const pass = (ms: number) =>
      system.postgres.query(
        `update job_rates set arrival = arrival - interval '${ms} ms', look_at = look_at - interval '${ms} ms'`,
      );

    it('let a burst start after a quiet time, and then one each gap', async () => {
      const { knex } = system.database;
      await enqueue(6);
      assert.equal((await admit(knex, LIMITS, [KEY])).jobs.length, 3);
      assert.equal(await claim(), 3);
      const next = await admit(knex, LIMITS, [KEY]);
      assert.deepEqual([next.jobs, next.isTimed, await dueKeys(knex, 9)], [[], true, []]);
      await pass(60_000);
      assert.deepEqual(await dueKeys(knex, 9), [KEY]);
      assert.equal((await admit(knex, LIMITS, [KEY])).jobs.length, 1);
      assert.equal((await admit(knex, LIMITS, [KEY])).jobs.length, 0, 'one is ready already');
      // As jobs that an operator retries.
      await knex('job_queue').where({ state: 'held' }).update({ state: 'ready' });
      assert.equal(await claim(), 1, 'the claim counts itself');
      assert.equal(await counts(), '2 held, 4 running');
    });

    it('wait for no longer than their gaps when the clock was set back', async () => {
      const { knex } = system.database;
      await enqueue(1);
      await knex('job_rates').insert({
        key: KEY,
        arrival: knex.raw(`now() + interval '1 day'`),
        look_at: knex.fn.now(),
      });
      await admit(knex, LIMITS, [KEY]);
      const [later] = await system.postgres.query<{ ms: number }>(
        'select extract(epoch from look_at - clock_timestamp())::float8 * 1000 as ms from job_rates',
      );
      assert.ok(later && later.ms <= 60_000, `it is looked at again in ${later?.ms} ms`);
    });
  });

  describe('that a server imposes', () => {
    const states = async () => {
      const rows = await system.postgres.query<{ state: string; attempts: number; deliveries: number }>(
        'select state, attempts, deliveries from job_queue order by created_at',
      );
      return rows.map(({ state, attempts, deliveries }) => `${state} ${attempts} ${deliveries}`).join(', ');
    };
    const afterAnHour = async () => {
      busy.clear();
      await system.postgres.query(`update job_rates set held_until = 'epoch', look_at = now()`);
      await system.postgres.query(`update job_queue set run_at = now() where state = 'scheduled'`);
      await system.postgres.query(`select pg_notify('job_queue', 'look')`);
      await nothingLeft();
    };

    it('hold the key of the job, which is not a failure, and no other key', async () => {
      await system.processor([AskedJob]);
      busy.add('a');
      await AskedJob.performLater('a');
      await until('it was told to wait', () => system.eventsNamed('job.rate-limited').length === 1);
      await AskedJob.performLater('a');
      await AskedJob.performLater('b');
      await until('the other key has run', () => ran.includes('b'));
      await until('they wait', async () => (await states()) === 'scheduled 0 0, held 0 0');
      await afterAnHour();
      assert.deepEqual(ran, ['a asked', 'b', 'a', 'a']);
      assert.deepEqual(system.eventsNamed('job.retrying'), []);
    });

    it('hold another key that the error names', async () => {
      await system.processor([AskedJob]);
      busy.add('for b');
      await AskedJob.performLater('for b');
      await until('it was told to wait', () => system.eventsNamed('job.rate-limited').length === 1);
      await AskedJob.performLater('b');
      await AskedJob.performLater('c');
      await until('a third key has run', () => ran.includes('c'));
      await until('they wait', async () => (await states()) === 'scheduled 0 0, held 0 0');
      await afterAnHour();
    });

    it('let only the job itself wait if its class has no limit', async () => {
      await system.processor([FreeJob]);
      busy.add('a');
      await FreeJob.performLater('a');
      await until('it was told to wait', () => system.eventsNamed('job.rate-limited').length === 1);
      await FreeJob.performLater('b');
      await until('the next one has run', () => ran.includes('b'));
      await until('they wait', async () => (await states()) === 'scheduled 0 0');
      await afterAnHour();
    });

    it('have a length of time', () => {
      assert.throws(
        () => new RateLimited({ after: 'soon' as '1s' }),
        /RateLimited: after is "soon"; give a length of time/,
      );
    });
  });

  it('with another key than the limit of their class are refused, before anything is enqueued', async () => {
    class OddJob extends CallJob {
      static override readonly rate = { limit: 20, per: '1s', key: () => 'all' } as const;
    }
    await assert.rejects(
      OddJob.performLater('a'),
      /OddJob: limit\.key is a and rate\.key is all; let them return the same/,
    );
    assert.equal(await system.jobCount(), 0);
    await OddJob.performLater('all');
    assert.equal(await system.jobCount(), 1);
  });

  it('are refused when they make no sense', () => {
    const refuses = (rate: object, error: RegExp, limit?: object) =>
      assert.throws(() => limitRule({ rate, limit } as never, 'CallJob'), error);
    refuses(
      { limit: 0, per: '1s' },
      /CallJob: rate is \{"limit":0,"per":"1s"\}; give whole numbers and a length of time/,
    );
    refuses({ limit: 1, per: 'often' }, /"often"/);
    refuses({ limit: 1, per: '1s', burst: -1 }, /-1/);
    refuses({ limit: 1, per: '1s', key: 'a' }, /CallJob: rate\.key is "a"; give a function/);
    refuses({ limit: 1, per: '1s' }, /CallJob: limit has a key; give the same to limit and rate/, {
      count: 1,
      key: String,
    });
  });
});
