import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { Job } from '../../../lib/job/job';
import { rescue } from '../../../lib/job/row/rescue';
import { Database } from '../../../lib/model/database';
import { transaction } from '../../../lib/model/transaction';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { HELD_UP, holdUp } from '../hold-up';
import { type JobsConfig, useJobSystem } from '../job-system';

const gate = new Gate();
const begun: string[] = [];

class AnyJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    begun.push(`${this.context.queue} ${name}`);
    await gate.pass();
  }
}

const HOUR = 3_600_000;
const WAITING = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
/** Nobody looks after jobs whose hints are lost, or that seem to run. */
const ALONE = { dispatch: { lookMs: HOUR, overdueMs: HOUR, silentMs: HOUR } };

for (const lane of ['hints of Redis', 'a scan of Postgres'] as const) {
  describe(`the fetcher, by ${lane}`, () => {
    const system = useJobSystem({
      empty: [begun],
      reset: async () => {
        gate.close();
        if (lane === 'hints of Redis') return;
        await system.redisServer.kill();
        await until('the loss of Redis is known', () => !system.redis.client.isReady);
      },
    });
    afterEach(() => gate.open());

    const enqueue = (queue: string, ...names: string[]) =>
      AnyJob.set({ queue }).performAllLater(names.map((name) => [name]));
    const start = (jobs: Partial<JobsConfig> = {}) => system.processor([AnyJob], { jobs, tuning: ALONE });
    const numbered = (count: number) => Array.from({ length: count }, (_, n) => String(n));
    const running = async () => {
      const [row] = await system.postgres.query<{ count: number }>(
        `select count(*)::int from job_queue where state = 'running'`,
      );
      return row?.count;
    };

    it('fills its slots, and does not exceed them', async () => {
      await enqueue('default', ...numbered(130));
      await start({ concurrency: 100 });
      await until('as many jobs run as may', () => gate.held === 100);
      assert.equal(await running(), 100);
      gate.open();
      await until('all jobs have begun', () => begun.length === 130);
      await until('all rows are gone', async () => (await system.jobCount()) === 0);
    });

    it('takes no job that another process could run', async () => {
      await enqueue('default', ...numbered(3));
      await start({ concurrency: 1 });
      await until('a job runs', () => gate.held === 1);
      await start({ concurrency: 2 });
      await until('the other process runs the others', () => gate.held === 3);
    });

    it('claims short jobs ahead of its slots, and leaves them to others when one turns out to be long', async () => {
      const claims: number[] = [];
      const short = numbered(200);
      gate.open();
      await start({ concurrency: 1 });
      system.database.knex.on('query-response', (rows: { rowCount?: number }, { sql }: { sql: string }) => {
        if (sql.startsWith('update') && sql.includes('claimed_at')) claims.push(rows.rowCount ?? 0);
      });
      await enqueue('default', ...short);
      await until('all short jobs have begun', () => begun.length === 200);
      assert.ok(Math.max(...claims) > 1, `jobs of the claims: ${claims.join()}`);
      gate.close();
      await enqueue('default', 'long', ...numbered(20));
      await until('the long one runs', () => gate.held === 1);
      await start({ concurrency: 20 });
      await until('the other process runs the others', () => gate.held === 21);
      await until('only these are claimed', async () => (await running()) === 21);
      const counted = await system.postgres.query(`select from job_queue where deliveries <> 1`);
      assert.equal(counted.length, 0, 'a job that was returned without a start has had no delivery');
    });

    it('runs a job with a limit although others never run out', async () => {
      let isOver = false;
      class EndlessJob extends Job {
        async perform(): Promise<void> {
          if (!isOver) await EndlessJob.performLater();
        }
      }
      class LimitedJob extends Job {
        static override readonly limit = { count: 1 };
        perform(): void {
          isOver = true;
        }
      }
      for (let n = 0; n < 200; n++) await EndlessJob.performLater();
      await system.processor([EndlessJob, LimitedJob], { jobs: { concurrency: 1 }, tuning: ALONE });
      await LimitedJob.performLater();
      await until('all jobs have run', async () => (await system.jobCount()) === 0);
    });

    it('runs jobs in their order, and each queue before the next', async () => {
      const names = numbered(10);
      await enqueue('mailer', ...names);
      await enqueue('default', ...names);
      gate.open();
      await start({ concurrency: 1 });
      await until('all jobs have begun', () => begun.length === 20);
      assert.deepEqual(begun, [...names.map((name) => `default ${name}`), ...names.map((name) => `mailer ${name}`)]);
    });

    it('shares its slots between queues by their weights', async () => {
      await enqueue('default', ...numbered(100));
      await enqueue('mailer', ...numbered(100));
      gate.open();
      const queues = [
        { name: 'mailer', weight: 3 },
        { name: 'default', weight: 1 },
      ];
      await start({ concurrency: 1, queues, weighted: true });
      await until('all jobs have begun', () => begun.length === 200);
      // Binomial: about 25 of the first 100, and outside 4 … 50 with a probability below 1e-7.
      const early = begun.slice(0, 100).filter((job) => job.startsWith('default')).length;
      assert.ok(early > 3 && early < 51, `${early} of the first 100`);
    });

    it('begins nothing once it is quiet, and goes on when it is resumed', async () => {
      const processor = await start();
      processor.quiet();
      await enqueue('default', 'a');
      await start({ queues: [{ name: 'mailer', weight: 1 }] });
      await enqueue('mailer', 'b');
      await until('the other queue goes on', () => begun.length === 1);
      assert.deepEqual(begun, ['mailer b']);
      processor.resume();
      await until('the job has begun', () => begun.length === 2);
    });

    it('runs a job with only one delivery left alone until its outcome is in Postgres', async () => {
      // The first one would otherwise begin before the others of its claim.
      const names = ['suspect a', 'suspect b', 'c', 'suspect d', 'e'];
      await enqueue('default', ...names);
      await system.postgres.query(`update job_queue set deliveries = 2 where payload #>> '{args,0}' like 'suspect%'`);
      gate.open();
      const together: string[] = [];
      let goOn: (() => Promise<void>) | undefined;
      class WatchedJob extends AnyJob {
        static override jobName = 'AnyJob';
        override async perform(name: string): Promise<void> {
          if (name.startsWith('suspect')) {
            const rows = await system.postgres.query<{ name: string }>(
              `select payload #>> '{args,0}' as name from job_queue where state = 'running'`,
            );
            together.push(rows.map((row) => row.name).join());
          }
          // Its outcome waits.
          if (name === 'suspect b') goOn = await holdUp(system.postgres, 'delete', this.context.id);
          await super.perform(name);
        }
      }
      await system.processor([WatchedJob], { jobs: { concurrency: 50 }, tuning: ALONE });
      try {
        await until('an outcome waits', async () => (await system.postgres.query(HELD_UP)).length > 0);
        const begunBefore = begun.length;
        for (let n = 0; n < 50; n++) assert.equal((await system.postgres.query(HELD_UP)).length, 1);
        assert.equal(begun.length, begunBefore);
      } finally {
        await goOn?.();
      }
      await until('all jobs have run', async () => (await system.jobCount()) === 0);
      assert.deepEqual(together.sort(), ['suspect a', 'suspect b', 'suspect d']);
      assert.equal(begun.length, 5);
    });
  });
}

describe('the fetcher', () => {
  const system = useJobSystem({
    empty: [begun],
    reset: () => {
      gate.open();
    },
  });

  it('goes over to scans when Redis is lost, and back, and misses nothing', async () => {
    await system.processor([AnyJob], { jobs: { concurrency: 5 } });
    for (let round = 0; round < 3; round++) {
      const from = begun.length;
      await Promise.all(Array.from({ length: 20 }, (_, n) => transaction(() => AnyJob.performLater(`${round} ${n}`))));
      await system.redisServer.kill();
      await Promise.all(Array.from({ length: 20 }, (_, n) => AnyJob.performLater(`${round} away ${n}`)));
      await until('all jobs have begun', () => begun.length === from + 40);
      await system.redisServer.start();
      await until('Redis is back', () => system.redis.client.isReady);
    }
    await until('all rows are gone', async () => (await system.jobCount()) === 0);
    assert.equal(new Set(begun).size, begun.length, 'none has run twice');
  });

  it('gives back no job that has ended when the reply to a claim is lost', async () => {
    await system.processor([AnyJob], { jobs: { concurrency: 2 }, tuning: ALONE });
    const names = Array.from({ length: 4 }, (_, round) => `ends ${round}`);
    for (const name of names) {
      gate.close();
      await AnyJob.performLater(name);
      await until('the job runs', () => gate.held === 1);
      const holder = new Client({ connectionString: system.postgres.url });
      await holder.connect();
      await holder.query('begin; lock table job_queue in access exclusive mode');
      await system.redis.client.lPush('bq:default:waiting', randomUUID());
      await until('a claim waits', async () => (await system.postgres.query(WAITING)).length > 0);
      gate.open();
      const ended = await system.postgres.query<{ pid: number }>(
        `select pid, pg_terminate_backend(pid) from (${WAITING}) as waiting`,
      );
      // One that got the lock before the signal would end its statement, and then its connection while that is in the pool.
      await until('their sessions have ended', async () => {
        const left = await system.postgres.query('select from pg_stat_activity where pid = any($1)', [
          ended.map(({ pid }) => pid),
        ]);
        return left.length === 0;
      });
      await holder.end();
      await until('its row is gone', async () => (await system.jobCount()) === 0);
    }
    assert.deepEqual(
      begun,
      names.map((name) => `default ${name}`),
    );
  });

  /** A processor whose first looks are over. */
  const startWaiting = async (jobs: Partial<JobsConfig> = {}) => {
    const processor = await system.processor([AnyJob], { jobs, tuning: ALONE });
    const clients = () => system.redis.client.sendCommand<string>(['CLIENT', 'LIST', 'TYPE', 'normal']);
    await until('it waits for a hint', async () => (await clients()).includes('cmd=brpop'));
    await until('its first looks are over', () => processor.listening && processor.progress.dispatch?.owedMs === 0);
    return processor;
  };

  it('runs jobs that had no room for a hint as soon as it has emptied a long list of hints', async () => {
    gate.close();
    await startWaiting({ concurrency: 1 });
    await AnyJob.performLater('first');
    await until('a job runs', () => gate.held === 1);
    await AnyJob.performAllLater(Array.from({ length: 1500 }, (_, n) => [String(n)]));
    // Some may have been claimed ahead.
    await until('the others have hints', async () => (await system.redis.client.lLen('bq:default:waiting')) > 1400);
    // The hints of the last 300.
    await system.redis.client.lTrim('bq:default:waiting', 300, -1);
    gate.open();
    await until('all jobs have begun', () => begun.length === 1501);
  });

  it('gives back the hint that it had waited for when it became quiet', async () => {
    const processor = await startWaiting();
    processor.quiet();
    const { id } = await AnyJob.performLater('a');
    await until('the hint is there for others', async () =>
      (await system.redis.client.lRange('bq:default:waiting', 0, -1)).includes(id),
    );
  });

  it('returns a job that it had asked for when it became quiet', async () => {
    const processor = await startWaiting();
    const { id } = await transaction(async (trx) => {
      const job = await AnyJob.performLater('a');
      await trx.raw('lock table job_queue in access exclusive mode');
      await system.redis.client.lPush('bq:default:waiting', job.id);
      // Other statements of the processor may wait, too.
      const claims = `${WAITING} and query like 'update job_queue set state = ''running''%'`;
      await until('a claim waits', async () => (await system.postgres.query(claims)).length > 0);
      processor.quiet();
      return job;
    });
    const states = () => system.postgres.query('select state, deliveries from job_queue where claimed_at is not null');
    await until('it is claimed, and returned', async () => (await states())[0]?.state === 'ready');
    assert.deepEqual([await states(), begun], [[{ state: 'ready', deliveries: 0 }], []], id);
  });

  it('records the outcome of the later of two runs when its job was taken for lost and came to it again', async () => {
    gate.close();
    await system.processor([AnyJob], { tuning: ALONE, lineage: { identity: 'frozen', dead: [] } });
    const { id } = await AnyJob.performLater('a');
    await until('it runs', () => gate.held === 1);
    await rescue(system.database.knex, { identity: 'frozen' });
    await system.redis.client.lPush('bq:default:waiting', id);
    await until('it runs again', () => gate.held === 2);
    gate.open();
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });

  it('records an outcome, however often Postgres has refused it', async () => {
    await system.postgres.query(`
      create sequence refused;
      create function refuse() returns trigger language plpgsql as $$
      begin perform nextval('refused'); raise 'refused'; end $$;
      create trigger refuse before delete on job_queue for each statement execute function refuse()`);
    try {
      await system.processor([AnyJob], { tuning: ALONE });
      await AnyJob.performLater('a');
      await until('it was refused three times', async () => {
        const [{ last_value: times } = { last_value: 0 }] = await system.postgres.query(
          'select last_value from refused',
        );
        return Number(times) >= 3;
      });
    } finally {
      await system.postgres.query('drop function refuse cascade; drop sequence refused');
    }
    await until('its row is gone', async () => (await system.jobCount()) === 0);
    assert.deepEqual(begun, ['default a']);
  });

  it('is harmed by no hint: stale, doubled, of nobody, or no id at all', async () => {
    const { id } = await AnyJob.performLater('a');
    const strays = [id, id, '0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11', 'junk', '7', '\0', 'x'.repeat(36)];
    await system.redis.client.lPush('bq:default:waiting', strays);
    await system.processor([AnyJob]);
    await AnyJob.performLater('b');
    await until('all rows are gone', async () => (await system.jobCount()) === 0);
    assert.deepEqual(begun, ['default a', 'default b']);
    await until('all hints are used', async () => (await system.redis.client.lLen('bq:default:waiting')) === 0);
    assert.deepEqual(system.eventsNamed('queue.error'), []);
  });

  it('looks ever less often without Redis while nothing comes, and at once when Postgres tells of a job', async () => {
    const database = new Database(system.postgres.url, { production: false, events: system.events, poolMax: 2 });
    try {
      const looks: number[] = [];
      database.knex.on('query', ({ sql }: { readonly sql: string }) => {
        if (/set state = 'running'/.test(sql)) looks.push(performance.now());
      });
      const processor = await system.processor([AnyJob], { database, redisOff: true, tuning: ALONE });
      await until('it is notified', () => processor.listening);
      await AnyJob.performLater('first');
      await until('it has run', () => begun.length === 1);
      await until('the row is gone', async () => (await system.jobCount()) === 0);
      const from = looks.length;
      // It begins with a second at most.
      await until('a pause is twice as long', () =>
        looks.slice(from).some((at, i, some) => at - (some[i - 1] ?? at) > 2000),
      );
      const enqueuedAt = performance.now();
      await AnyJob.performLater('second');
      await until('it has run', () => begun.length === 2);
      assert.ok(performance.now() - enqueuedAt < 3000, 'a look would have come later');
    } finally {
      await system.stopProcessors();
      await database.stop(Deadline.after(5000));
    }
  });
});
