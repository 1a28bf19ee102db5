import assert from 'node:assert/strict';
import { Client } from 'pg';
import { currentContext, runInContext, withAttributes } from '../../../lib/core/execution-context';
import { EnqueueError } from '../../../lib/job/definition/errors';
import { CancelEnqueue } from '../../../lib/job/enqueue/callbacks';
import { Job, performAllLater } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const ran: number[] = [];
const contexts: unknown[] = [];

class CountJob extends Job<[n: number]> {
  perform(n: number): void {
    ran.push(n);
  }
}

class MailCountJob extends CountJob {
  static override readonly queue = 'mailer';
}

class ContextJob extends Job<[depth: number]> {
  static override readonly tags = ['deep'];
  async perform(depth: number): Promise<void> {
    const { requestId, locale, attributes } = currentContext();
    contexts.push([depth, requestId, locale, attributes, this.context.tags]);
    if (depth > 0) await ContextJob.set({ tags: [`under ${depth}`] }).performLater(depth - 1);
  }
}

class ShyJob extends Job {
  override beforeEnqueue(): void {
    throw new CancelEnqueue();
  }
  perform(): void {}
}

const upTo = (count: number) => [...Array(count).keys()];

describe('the enqueuer', () => {
  const system = useJobSystem({ empty: [ran, contexts] });

  const many = (count: number) => upTo(count).map((n) => [n] as const);
  /** The arguments of the rows in the order in which they may run. */
  const argsInOrder = async () => {
    const args = "select (payload->'args'->>0)::int n from job_queue order by run_at, id";
    return (await system.postgres.query<{ n: number }>(args)).map((row) => row.n);
  };
  const statements = async (work: () => Promise<unknown>) => {
    const seen: string[] = [];
    const listen = ({ sql }: { readonly sql: string }) => seen.push(sql.trim().split(/\s+/).slice(0, 2).join(' '));
    system.database.knex.on('query', listen);
    await work();
    system.database.knex.off('query', listen);
    return seen;
  };

  it('refuses a name that no queue may have', () =>
    assert.rejects(CountJob.set({ queue: 'my queue' }).performLater(1), /CountJob: queue is "my queue"; use letters/));

  it('warns once about a queue that JOB_QUEUES lacks, and enqueues the job all the same', async () => {
    for (const queue of ['reports', 'mailer', 'reports']) {
      const job = CountJob.set({ queue });
      for (const { enqueued } of [await job.performLater(1), await transaction(() => job.performLater(2))])
        assert.equal(enqueued, true);
    }
    assert.deepEqual(system.eventsNamed('process.warning'), [
      {
        message:
          'CountJob was enqueued on reports, which JOB_QUEUES (default, mailer) lacks: add it there, unless another tree serves it',
      },
    ]);
  });

  it('inserts 1200 jobs of two queues, in order, and hints at each', async () => {
    const { client } = system.redis;
    const jobs = await performAllLater(
      upTo(1200).map((n) => (n % 5 === 0 ? MailCountJob.prepare(n) : CountJob.prepare(n))),
    );
    assert.ok(jobs.every((job) => job.enqueued));
    const ids = jobs.map((job) => job.id);
    const mails = ids.filter((_, n) => n % 5 === 0);
    assert.deepEqual(await argsInOrder(), upTo(1200));
    const hinted = async (queue: string) => (await client.lRange(`bq:${queue}:waiting`, 0, -1)).reverse();
    await until(
      'all are hinted at',
      async () => (await hinted('mailer')).length + (await hinted('default')).length === 1200,
    );
    assert.deepEqual(await hinted('mailer'), mails);
    assert.deepEqual(
      await hinted('default'),
      ids.filter((id) => !mails.includes(id)),
    );
    assert.deepEqual(
      system.eventsNamed('job.enqueued').map(({ id }) => id),
      ids,
    );
  });

  it('inserts 1000 jobs with one statement, and keeps their order', async () => {
    const inside = await statements(() => transaction(() => CountJob.performAllLater(many(1000))));
    assert.equal(inside.filter((sql) => sql === 'insert into').length, 1);
    assert.deepEqual(await argsInOrder(), upTo(1000));
    await transaction(async () => {
      await CountJob.performLater(1000);
      await CountJob.performAllLater([[1001], [1002]]);
      await CountJob.performLater(1003);
    });
    await CountJob.set({ wait: '1h' }).performAllLater([[1004], [1005]]);
    await CountJob.set({ waitUntil: new Date(Date.now() + 7_200_000) }).performAllLater([[1006], [1007]]);
    assert.deepEqual(await argsInOrder(), upTo(1008));
    const [row] = await system.postgres.query<{ waiting: number }>(
      "select count(*)::int as waiting from job_queue where run_at > now() + interval '59 minutes'",
    );
    assert.equal(row?.waiting, 4);
  });

  describe('when Postgres rejects a row', () => {
    before(() =>
      system.postgres.query(`
        create function refuse() returns trigger language plpgsql as $$ begin raise 'no room'; end $$;
        create trigger refuse before insert on job_queue for each row
          when (new.payload::text like '%"args":[1234]%') execute function refuse()`),
    );
    after(() => system.postgres.query('drop function refuse cascade'));

    it('enqueues nothing of a bulk', async () => {
      await assert.rejects(CountJob.performAllLater(many(1500)), /no room/);
      assert.equal(await system.jobCount(), 0);
      assert.equal(await system.redis.client.lLen('bq:default:waiting'), 0);
      assert.deepEqual(system.eventsNamed('job.enqueued'), []);
    });

    it('says which jobs were enqueued all the same, of a bulk in transactions of their own', async () => {
      const trx = await system.database.knex.transaction();
      const both = performAllLater([CountJob.set({ trx }).prepare(7), CountJob.prepare(1234)]);
      await assert.rejects(both, (error) => {
        assert.ok(error instanceof EnqueueError);
        const [kept, lost] = error.jobs;
        assert.ok(lost instanceof Error && kept && !(kept instanceof Error));
        return kept.enqueued && /^1 of 2 jobs could not be enqueued/.test(error.message);
      });
      await trx.commit();
      assert.deepEqual(await argsInOrder(), [7]);
    });
  });

  it('announces a job by a notification of Postgres while Redis is away', async () => {
    const notices: unknown[] = [];
    const listener = new Client(system.postgres.url);
    listener.on('notification', ({ payload }) => notices.push(payload));
    await listener.connect();
    try {
      await listener.query('listen job_queue');
      await system.redisServer.stop();
      await CountJob.performLater(1);
      await until('the job is announced', () => notices.includes('unhinted'));
    } finally {
      await listener.end();
    }
  });

  it('reports a job that its own class has cancelled', async () => {
    const { id, reason } = await ShyJob.performLater();
    assert.equal(reason, 'cancelled');
    assert.deepEqual(system.eventsNamed('job.enqueue-cancelled'), [{ id, class: 'ShyJob', queue: 'default' }]);
    assert.deepEqual(system.eventsNamed('job.enqueued'), []);
  });

  it('passes request, locale and attributes on to the job, and to the jobs that it enqueues', async () => {
    await system.processor([ContextJob]);
    await runInContext({ requestId: 'r1', locale: 'ko' }, () =>
      withAttributes({ tenant: { id: 7 } }, () => transaction(() => ContextJob.performLater(2))),
    );
    await until('all three jobs have run', () => contexts.length === 3);
    const carried = ['r1', 'ko', { tenant: { id: 7 } }];
    assert.deepEqual(contexts, [
      [2, ...carried, ['deep']],
      [1, ...carried, ['deep', 'under 2']],
      [0, ...carried, ['deep', 'under 1']],
    ]);
  });
});
