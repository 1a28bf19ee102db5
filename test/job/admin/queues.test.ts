import assert from 'node:assert/strict';
import { Queues } from '../../../lib/job/admin/queues';
import { Job } from '../../../lib/job/job';
import { pauseQueue } from '../../../lib/job/row/pauses';
import { InvalidRequestError } from '../../../lib/job/sets/query';
import { PublishedTrees } from '../../ops/overview/published-trees';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { setSources } from '../sets/set-sources';
import { store, storeDead } from '../sets/stored-job';

const gate = new Gate();
const ran: number[] = [];

class CountJob extends Job<[n: number]> {
  perform(n: number): void {
    ran.push(n);
  }
}

class GatedJob extends Job<[n: number]> {
  static override readonly limit = { count: 1 };

  async perform(n: number): Promise<void> {
    await gate.pass();
    ran.push(n);
  }
}

class FailingJob extends Job {
  // The wait before the first retry is more than 10 s.
  static override retry = { limit: 5 };

  perform(): void {
    throw new Error('no luck');
  }
}

class DyingJob extends Job {
  static override retry = { limit: 0 };

  perform(): void {
    throw new Error('no luck at all');
  }
}

const CLASSES = [CountJob, GatedJob, FailingJob, DyingJob];
const upTo = (count: number) => [...Array(count).keys()];

describe('queues', () => {
  let queues: Queues;
  const system = useJobSystem({ gate, empty: [ran] });
  before(() => {
    queues = new Queues(setSources(system));
  });

  const status = async (name: string) => {
    const [found] = await queues.list([name]);
    return found ?? assert.fail();
  };
  const asked = () => system.eventsNamed('operator.queue').map(({ via, ...event }) => ({ ...event, via }));

  it('are listed with the number of jobs in each place', async () => {
    await system.processor(CLASSES, { jobs: { concurrency: 3 } });
    for (const n of upTo(3)) await GatedJob.performLater(n);
    await until('one job runs, the others are held', async () => {
      const { active, blocked } = await status('default');
      return active === 1 && blocked === 2;
    });
    await FailingJob.performLater();
    await DyingJob.performLater();
    await until('one job waits for a retry, one is dead', async () => {
      const { delayed, dead } = await status('default');
      return delayed === 1 && dead === 1;
    });
    await queues.pause('default');
    await CountJob.performLater(1);
    await CountJob.performLater(2);
    const { latencyMs, paused, ...counts } = await status('default');
    const numbers = { waiting: 2, active: 1, blocked: 2, delayed: 1, dead: 1 };
    assert.deepEqual(counts, { name: 'default', ...numbers, next: 'CountJob' });
    assert.ok(latencyMs >= 0);
    assert.equal(paused?.by, 'cli:test');
    assert.ok(Math.abs(Date.now() - (paused?.since.getTime() ?? 0)) < 600_000);
    assert.equal(await queues.size('default'), 4);
    assert.equal(await queues.size('mailer'), 0);
  });

  it('are known as soon as a job is enqueued on them or a processor of any tree serves them', async () => {
    assert.deepEqual(await queues.names(), ['default', 'mailer']);
    await CountJob.set({ queue: 'reports' }).performLater(1);
    await until('the queue is known', async () => (await queues.names()).includes('reports'));
    const limits = { queues: ['archive'] };
    await new PublishedTrees(system.redisServer).publishProcessor({ identity: 'other-0', limits });
    assert.deepEqual(await queues.names(), ['default', 'mailer', 'archive', 'reports']);
    await storeDead(system.database.knex, { queue: 'graves' });
    await pauseQueue(system.database.knex, 'idle', 'test');
    const all = ['default', 'mailer', 'archive', 'graves', 'idle', 'reports'];
    assert.deepEqual(await queues.names(), all);
    const listed = await queues.list();
    assert.deepEqual(
      listed.map(({ name, waiting }) => [name, waiting]),
      all.map((name) => [name, name === 'reports' ? 1 : 0]),
    );
  });

  it('have the latency of their next job, counted from when it could have run', async () => {
    const now = Date.now();
    assert.equal((await status('default')).latencyMs, 0);
    const hour = 3_600_000;
    const { knex } = system.database;
    await store(knex, 'ready', { at: now - hour });
    await store(knex, 'ready', { at: now - 2 * hour, queue: 'mailer' });
    await store(knex, 'held', { at: now - 3 * hour });
    const { latencyMs } = await status('default');
    assert.ok(latencyMs >= hour && latencyMs < 2 * hour, `${latencyMs} ms: the one that is next counts`);
    const ofMailer = (await status('mailer')).latencyMs;
    assert.ok(ofMailer >= 2 * hour && ofMailer < 3 * hour, `${ofMailer} ms`);
    await store(knex, 'ready', { at: now + hour, queue: 'ahead' });
    assert.equal((await status('ahead')).latencyMs, 0);
  });

  it('begin no job while they are paused, and go on at once when they are resumed', async () => {
    // Without looks, which would find the jobs of a resumed queue in the end.
    await system.processor(CLASSES, { tuning: { dispatch: { lookMs: 3_600_000, overdueMs: 3_600_000 } } });
    for (const round of upTo(3)) {
      assert.equal(await queues.pause('default'), true);
      assert.equal(await queues.pause('default'), false, 'the queue is paused already');
      await CountJob.performLater(round);
      await CountJob.set({ queue: 'mailer' }).performLater(100 + round);
      await until('the other queue goes on', () => ran.includes(100 + round));
      assert.ok(!ran.includes(round));
      assert.equal(await queues.resume('default'), true);
      await until('the resumed queue goes on', () => ran.includes(round));
    }
    assert.equal(await queues.resume('default'), false);
    assert.deepEqual(asked().slice(0, 2), [
      { action: 'pause', queue: 'default', jobs: 0, via: 'cli:test' },
      { action: 'resume', queue: 'default', jobs: 0, via: 'cli:test' },
    ]);
  });

  it('neither lose nor repeat a job when they are paused and resumed under load', async () => {
    await system.processor(CLASSES, { jobs: { concurrency: 5 } });
    await system.processor(CLASSES, { jobs: { concurrency: 5 } });
    const [rounds, perRound] = [12, 60];
    for (const round of upTo(rounds)) {
      const [paused, other] = round % 2 ? ['default', 'mailer'] : ['mailer', 'default'];
      await queues.pause(paused);
      await Promise.all(
        upTo(perRound).map((n) => CountJob.set({ queue: n % 2 ? paused : other }).performLater(round * perRound + n)),
      );
      await until('the other queue goes on', () => ran.includes(round * perRound));
      await queues.resume(paused);
    }
    await until('all jobs have run', () => ran.length >= rounds * perRound);
    await until('no job is left', async () => (await system.jobCount()) === 0);
    assert.deepEqual(
      ran.sort((a, b) => a - b),
      upTo(rounds * perRound),
    );
  });

  it('stay paused or resumed when Redis is emptied', async () => {
    await system.processor(CLASSES);
    assert.deepEqual([await queues.pause('default'), await queues.pause('mailer')], [true, true]);
    const { paused } = await status('default');
    assert.equal(await queues.resume('mailer'), true);
    await CountJob.performLater(1);
    await system.redis.client.flushAll();
    assert.deepEqual((await status('default')).paused, paused, 'paused since the same time, by the same caller');
    await CountJob.set({ queue: 'mailer' }).performLater(2);
    await until('the other queue goes on', () => ran.includes(2));
    assert.deepEqual(ran, [2]);
    assert.equal(await queues.resume('default'), true);
    await until('the job has run', () => ran.includes(1));
    await system.redisServer.restart({ wipe: true });
    await until('Redis is connected', () => system.redis.client.isReady);
    await CountJob.performLater(3);
    await until('the queue is not paused', () => ran.includes(3));
  });

  it('cause few calls while they are paused with waiting jobs', async () => {
    await queues.pause('default');
    await CountJob.performLater(1);
    await system.processor(CLASSES, { tuning: { infoMs: 3_600_000 } });
    const statements: string[] = [];
    const note = ({ sql }: { readonly sql: string }) => void statements.push(sql);
    const passed = (ms: number) => {
      const from = performance.now();
      return until(`${ms} ms have passed`, () => performance.now() - from > ms);
    };
    system.database.knex.on('query', note);
    try {
      // A processor that kept asking would send far more, and one that has just started does.
      await until('there are few statements in 600 ms', async () => {
        statements.length = 0;
        await passed(600);
        return statements.length < 15;
      });
    } finally {
      system.database.knex.off('query', note);
    }
    assert.deepEqual(ran, []);
  });

  it('are cleared of waiting jobs only, and none of them comes back', async () => {
    const processor = await system.processor(CLASSES, { jobs: { concurrency: 3 } });
    for (const n of upTo(3)) await GatedJob.performLater(n);
    await until('two jobs are held', async () => {
      const { active, blocked } = await status('default');
      return active === 1 && blocked === 2;
    });
    await FailingJob.performLater();
    await DyingJob.performLater();
    await until('one job waits for a retry, another is dead', async () => {
      const { delayed, dead } = await status('default');
      return delayed === 1 && dead === 1;
    });
    await queues.pause('default');
    await CountJob.performAllLater(upTo(2500).map((n) => [n]));
    processor.quiet();
    await CountJob.set({ wait: '1h' }).performLater(3000);
    await CountJob.set({ queue: 'mailer' }).performLater(4000);

    assert.equal(await queues.clear('default'), 2502);
    const { waiting, blocked, active, delayed, dead } = await status('default');
    assert.deepEqual([waiting, blocked, active, delayed, dead], [0, 0, 1, 2, 1]);
    assert.equal((await status('mailer')).waiting, 1);
    assert.deepEqual(asked().at(-1), { action: 'clear', queue: 'default', jobs: 2502, via: 'cli:test' });
    assert.equal(await system.jobCount(), 4, 'the running, the two scheduled, and that of the other queue');

    await system.processor(CLASSES);
    await queues.resume('default');
    gate.open();
    await until('the remaining jobs have run', () => ran.length === 2);
    // One of the three was running, and it may be any of them.
    assert.deepEqual(
      ran.filter((n) => n > 2),
      [4000],
    );
    await until('their rows are gone', async () => (await system.jobCount()) === 2);
  });

  it('keep what is enqueued while they are cleared', async () => {
    for (const n of upTo(2)) await CountJob.performLater(n);
    await system.postgres.query(
      `update job_queue set created_at = now() + interval '1 minute' where payload #>> '{args,0}' = '1'`,
    );
    assert.equal(await queues.clear('default'), 1);
    assert.equal(await queues.size('default'), 1);
  });

  it('are refused by name if they do not exist', async () => {
    for (const action of ['pause', 'resume', 'clear'] as const) {
      await assert.rejects(queues[action]('mialer'), (error: unknown) => {
        assert.ok(error instanceof InvalidRequestError);
        assert.equal(error.message, 'there is no queue "mialer": there are default, mailer');
        return true;
      });
    }
  });

  it('are paused at once while the list of processes does not come', async () => {
    await CountJob.performLater(1);
    const processes = () => new Promise<never>(() => {});
    const whileFrozen = new Queues({ ...setSources(system), processes });
    assert.equal(await whileFrozen.pause('default'), true);
    assert.equal(await whileFrozen.resume('default'), true);
  });
});
