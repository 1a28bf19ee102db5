import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import type { RedisClient } from '../../../lib/core/redis';
import { Queues } from '../../../lib/job/admin/queues';
import { Job } from '../../../lib/job/job';
import { PROCESSES } from '../../../lib/job/hint/keys';
import { restorePauses } from '../../../lib/job/queue/queue-upkeep';
import { newRecord } from '../../../lib/job/record/record';
import { InvalidRequestError } from '../../../lib/job/sets/query';
import { Database } from '../../../lib/model/database';
import { transaction } from '../../../lib/model/transaction';
import { Deadline } from '../../../lib/support/async';
import { serverPort } from '../../support/server-port';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const gate = new Gate();
const ran: number[] = [];

class CountJob extends Job<[n: number]> {
  perform(n: number): void {
    ran.push(n);
  }
}

class GatedJob extends Job<[n: number]> {
  static override concurrency = 1;

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
  let system: JobSystem;
  let queues: Queues;
  before(async () => {
    system = await JobSystem.start();
    const { redis, database, events } = system;
    const sources = {
      redis: redis.client,
      knex: database.knex,
      events,
      queues: ['default', 'mailer'],
      via: 'cli:test' as const,
    };
    queues = new Queues(sources);
  });
  after(async () => {
    gate.open();
    await system.stop();
  });
  beforeEach(async () => {
    gate.close();
    await system.reset();
    ran.length = 0;
  });

  const status = async (name: string) => {
    const [found] = await queues.list([name]);
    return found ?? assert.fail();
  };
  const asked = () => system.eventsNamed('operator.queue').map(({ via, ...event }) => ({ ...event, via }));
  /** Puts a job with the given record on a queue. */
  const put = async (queue: string, id: string, record: string) => {
    await system.redis.client.hSet(`bq:${queue}:jobs`, id, record);
    await system.redis.client.lPush(`bq:${queue}:waiting`, id);
  };
  const data = JSON.stringify({ class: 'CountJob', args: [1] });

  it('are listed with the number of jobs in each place', async () => {
    await system.processor(CLASSES, { jobs: { concurrency: 3 } });
    for (const n of upTo(3)) await GatedJob.performLater(n);
    await until('one job runs, the others are held', async () => (await status('default')).blocked === 2);
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
    const numbers = { waiting: 2, active: 1, blocked: 2, delayed: 1, dead: 1, inOutbox: 0 };
    assert.deepEqual(counts, { name: 'default', ...numbers, next: 'CountJob' });
    assert.ok(latencyMs >= 0);
    assert.equal(paused?.by, 'cli:test');
    assert.ok(Math.abs(Date.now() - (paused?.since.getTime() ?? 0)) < 600_000);
    assert.equal(await queues.size('default'), 4);
    assert.equal(await queues.size('mailer'), 0);
  });

  it('are known as soon as a job is enqueued on them or a processor serves them', async () => {
    assert.deepEqual(await queues.names(), ['default', 'mailer']);
    await CountJob.set({ queue: 'reports' }).performLater(1);
    await until('the queue is known', async () => (await queues.names()).includes('reports'));
    await system.processor(CLASSES, { jobs: { queues: [{ name: 'archive', weight: 1 }] } });
    await until('the served queue is known', async () => (await queues.names()).includes('archive'));
    assert.deepEqual(await queues.names(), ['default', 'mailer', 'archive', 'reports']);
    const listed = await queues.list();
    assert.deepEqual(
      listed.map(({ name, waiting }) => [name, waiting]),
      [
        ['default', 0],
        ['mailer', 0],
        ['archive', 0],
        ['reports', 1],
      ],
    );
  });

  it('have the latency of their next job, counted from when it could have run', async () => {
    const now = Date.now();
    assert.equal((await status('default')).latencyMs, 0);
    const hour = 3_600_000;
    await put('default', 'fresh', newRecord(data, now - hour));
    await put('default', 'later', newRecord(data, now - 3 * hour));
    const { latencyMs } = await status('default');
    assert.ok(latencyMs >= hour && latencyMs < 2 * hour, `${latencyMs} ms: the one that is next counts`);
    const retried = { data: {}, options: { timestamp: now - 3 * hour, dueAt: now - hour }, status: 'retrying' };
    await put('mailer', 'retried', JSON.stringify(retried));
    const ofRetry = (await status('mailer')).latencyMs;
    assert.ok(ofRetry >= hour && ofRetry < 2 * hour, `${ofRetry} ms: its retry fell due`);
    for (const [index, text] of ['{', '[]', 'null', '{"options":{"timestamp":"soon"}}'].entries()) {
      await put(`odd-${index}`, 'a', text);
      assert.equal((await status(`odd-${index}`)).latencyMs, 0, text);
    }
    await system.redis.client.lPush('bq:odd-9:waiting', 'without-a-record');
    assert.equal((await status('odd-9')).latencyMs, 0);
  });

  it('are listed with the due jobs in the outbox, and without those when Postgres is down', async () => {
    await transaction(() => CountJob.performLater(1));
    await CountJob.set({ wait: '1h' }).performLater(2);
    assert.equal((await status('default')).inOutbox, 1);
    const { redis, events } = system;
    const away = new Database(`postgres://nobody@127.0.0.1:${await serverPort()}/none`, { production: false, events });
    try {
      const sources = { redis: redis.client, knex: away.knex, events, queues: ['default'], via: 'cli:test' as const };
      assert.equal((await new Queues(sources).list())[0]?.inOutbox, undefined);
    } finally {
      await away.stop(Deadline.after(10_000));
    }
  });

  it('begin no job while they are paused, and go on at once when they are resumed', async () => {
    // Without a poll, which would find the jobs of a resumed queue in the end.
    await system.processor(CLASSES, { tuning: { pollMs: 3_600_000 } });
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
      await transaction(async () => {
        for (const n of upTo(perRound))
          await CountJob.set({ queue: n % 2 ? paused : other }).performLater(round * perRound + n);
      });
      await until('the other queue goes on', () => ran.includes(round * perRound));
      await queues.resume(paused);
    }
    await until('all jobs have run', () => ran.length >= rounds * perRound);
    await until('the outbox is empty', async () => (await system.jobCount()) === 0);
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
    await transaction(() => CountJob.performLater(1));
    await until('the job waits', async () => (await status('default')).waiting === 1);
    await system.redis.client.flushAll();
    await until('the job waits again', async () => (await status('default')).waiting === 1);
    assert.deepEqual((await status('default')).paused, paused, 'paused since the same time, by the same caller');
    await CountJob.set({ queue: 'mailer' }).performLater(2);
    await until('the other queue goes on', () => ran.includes(2));
    assert.deepEqual(ran, [2]);
    assert.deepEqual(system.eventsNamed('process.warning'), [
      { message: 'Redis had lost the pause of queue default: it is paused again' },
    ]);
    assert.equal(await queues.resume('default'), true);
    await until('the job has run', () => ran.includes(1));
    await system.redisServer.restart({ wipe: true });
    await until('Redis is connected', () => system.redis.client.isReady);
    await CountJob.performLater(3);
    await until('the queue is not paused', () => ran.includes(3));
  });

  it('stay resumed when that happens while a pause is being restored', async () => {
    const { redis, database } = system;
    /** So slow to write that the queue is resumed meanwhile. */
    const slow: RedisClient = Object.create(redis.client, {
      set: {
        value: async (...args: Parameters<RedisClient['set']>) => {
          assert.equal(await queues.resume('default'), false);
          return redis.client.set(...args);
        },
      },
    });
    await queues.pause('default');
    await redis.client.del('bq:default:paused');
    assert.deepEqual(await restorePauses(database.knex, slow), []);
    assert.equal((await status('default')).paused, undefined);
    await queues.pause('default');
    await redis.client.del('bq:default:paused');
    assert.deepEqual(await restorePauses(database.knex, redis.client), ['default']);
    assert.deepEqual(await restorePauses(database.knex, redis.client), [], 'the pause was restored before');
  });

  it('are paused and resumed while Postgres is down, which is reported', async () => {
    const { redis, events } = system;
    const url = `postgres://nobody@127.0.0.1:${await serverPort()}/none`;
    const away = new Database(url, { production: false, events: new Events() });
    try {
      const sources = { redis: redis.client, knex: away.knex, events, queues: ['default'], via: 'cli:test' as const };
      const cut = new Queues(sources);
      assert.equal(await cut.pause('default'), true);
      assert.equal((await status('default')).paused?.by, 'cli:test');
      assert.equal(await cut.resume('default'), true);
      assert.equal((await status('default')).paused, undefined);
      assert.deepEqual(
        system.eventsNamed('process.error').map(({ during }) => during),
        ['keeping the pause of queue default in Postgres', 'forgetting the pause of queue default in Postgres'],
      );
    } finally {
      await away.stop(Deadline.after(10_000));
    }
  });

  it('cause few calls while they are paused with waiting jobs', async () => {
    await queues.pause('default');
    await CountJob.performLater(1);
    const lineage = { identity: 'idle', dead: [] };
    await system.processor(CLASSES, { lineage, tuning: { heartbeatMs: 20, infoMs: 3_600_000 } });
    const { client } = system.redis;
    const calls = async () => {
      const stats = await client.info('commandstats');
      return [...stats.matchAll(/cmdstat_(?:evalsha|blmove):calls=(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
    };
    const heartbeats = new Set<number | null>();
    const seen = (count: number) =>
      until(`there were ${count} heartbeats`, async () => {
        heartbeats.add(await client.zScore(PROCESSES, 'idle'));
        return heartbeats.size > count;
      });
    await seen(5);
    const before = await calls();
    await seen(35);
    const made = (await calls()) - before;
    // One call for each heartbeat and some for the relay and others. A processor that kept asking would make far more.
    assert.ok(made < 4 * 30, `${made} calls in 30 heartbeats`);
    assert.deepEqual(ran, []);
  });

  it('are cleared of waiting jobs only, in Redis and in the outbox, and none of them comes back', async () => {
    const processor = await system.processor(CLASSES, { jobs: { concurrency: 3 } });
    for (const n of upTo(3)) await transaction(() => GatedJob.performLater(n));
    await until('two jobs are held', async () => (await status('default')).blocked === 2);
    await FailingJob.performLater();
    await DyingJob.performLater();
    await until('one job waits for a retry, another is dead', async () => {
      const { delayed, dead } = await status('default');
      return delayed === 1 && dead === 1;
    });
    await queues.pause('default');
    await transaction(async () => {
      for (const n of upTo(1200)) await CountJob.performLater(n);
    });
    await CountJob.performLater(2000);
    await until('all jobs are in Redis', async () => (await status('default')).waiting === 1201);
    processor.quiet();
    await CountJob.set({ wait: '1h' }).performLater(3000);
    await CountJob.set({ queue: 'mailer' }).performLater(4000);
    await put('default', 'plain', newRecord(data));

    assert.equal(await queues.clear('default'), 1204);
    const { waiting, blocked, active, delayed, dead, inOutbox } = await status('default');
    assert.deepEqual([waiting, blocked, active, delayed, dead, inOutbox], [0, 0, 1, 1, 1, 0]);
    assert.equal((await status('mailer')).waiting, 1);
    assert.deepEqual(asked().at(-1), { action: 'clear', queue: 'default', jobs: 1204, via: 'cli:test' });
    assert.equal(await system.jobCount(), 2, 'the rows of the running and the scheduled job');

    await system.processor(CLASSES);
    await queues.resume('default');
    gate.open();
    await until('the remaining jobs have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), [0, 4000]);
    await until('its row is gone', async () => (await system.jobCount()) === 1);
    assert.equal(system.eventsNamed('outbox.redispatched').length, 0);
  });

  it('are cleared of jobs that are still in the outbox', async () => {
    await transaction(async () => {
      for (const n of upTo(1500)) await CountJob.performLater(n);
    });
    assert.equal((await status('default')).inOutbox, 1500);
    assert.equal(await queues.clear('default'), 1500);
    assert.equal(await system.jobCount(), 0);
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
});
