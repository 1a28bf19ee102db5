import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { JsonValue } from '../../../lib/core/execution-context';
import type { RedisClient } from '../../../lib/core/redis';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { handOver, insertDeaths } from '../../../lib/job/outbox/dead-jobs';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { DYING_LIMIT } from '../../../lib/job/queue/keys';
import { findJob } from '../../../lib/job/sets/find-job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from '../sets/set-sources';
import { recordText, store, storeDead } from '../sets/stored-job';

const ran: string[] = [];
let deadly = true;

class MoodyJob extends Job<[name: string]> {
  static override tags = ['moody'];

  async perform(name: string): Promise<void> {
    ran.push(name);
    await this.checkpoint(`${name} half done`);
    if (deadly) throw new KillJob(`no ${name}`);
  }
}

describe('jobs that die', () => {
  let sets: Sets;
  const system = useJobSystem(() => {
    ran.length = 0;
    deadly = true;
  });
  before(() => {
    sets = setsOf(setSources(system));
  });

  const stores = () => ({ knex: system.database.knex, redis: system.redis.client });
  const isDead = (id: string) => until('the job is dead', async () => (await system.deadIds()).includes(id));
  const inRedis = async () => {
    const { client } = system.redis;
    const places = ['dead', 'failed', 'jobs', 'cursor', 'progress', 'deliveries', 'ended', 'twins'];
    const there = await Promise.all(places.map((place) => client.exists(`bq:default:${place}`)));
    return places.filter((_, index) => there[index] === 1);
  };
  const ofDead = async (id: string) => (await sets.dead.entries([id]))[0];

  /** A dead job that is in both stores: its process died after it had written the row, before it could remove it from Redis. */
  const halfHandedOver = async (diedAt: number) => {
    const id = randomUUID();
    const job = { id, class: 'MoodyJob', args: ['a'], errors: ['no a'], at: diedAt };
    await store(system.redis.client, 'dead', job);
    await storeDead(system.database.knex, job);
    return id;
  };

  it('are stored in Postgres, and leave nothing in Redis or in the outbox', async () => {
    await system.processor([MoodyJob]);
    const [{ id }, { id: straight }] = await Promise.all([
      transaction(() => MoodyJob.performLater('a')),
      MoodyJob.performLater('b'),
    ]);
    await isDead(id);
    await isDead(straight);
    await until('Redis has forgotten them', async () => (await inRedis()).length === 0);
    assert.equal(await system.outboxSize(), 0);
    assert.deepEqual(
      (await sets.dead.page({ tag: 'moody' })).entries.map(({ args, attempts }) => [args, attempts]).sort(),
      [
        [['a'], 1],
        [['b'], 1],
      ],
    );
  });

  it('survive a Redis that loses its data', async () => {
    await system.processor([MoodyJob]);
    const { id } = await MoodyJob.performLater('a');
    await isDead(id);
    await system.redis.client.flushAll();
    const { place, entry } = await sets.find(id);
    assert.deepEqual([place, entry?.reason], ['dead', 'no a']);
    deadly = false;
    assert.equal(await isMoved(sets.dead.retryMany({ ids: [id] })), true);
    await until('the job has run again', () => ran.length === 2);
  });

  it('wait in Redis while Postgres refuses them, and are stored afterwards', async () => {
    await system.processor([MoodyJob], { tuning: { outbox: { sweepMs: 20 } } });
    await system.postgres.query(`create function refuse() returns trigger language plpgsql as
      'begin raise exception ''no deaths today''; end'`);
    await system.postgres.query('create trigger refuse before insert on job_dead execute function refuse()');
    const jobs = await MoodyJob.performAllLater(['a', 'b', 'c'].map((name) => [name]));
    await until('all jobs have died', () => system.eventsNamed('job.dead').length === 3);
    await until('Postgres has refused them', () => system.eventsNamed('queue.error').length > 0);
    assert.deepEqual(await system.deadIds(), []);
    await system.postgres.query('drop function refuse cascade');
    await until('all jobs are dead', async () => (await system.deadIds()).length === 3);
    assert.deepEqual((await system.deadIds()).sort(), jobs.map((job) => job.id).sort());
    await until('Redis has forgotten them', async () => (await inRedis()).length === 0);
  });

  it('are dropped, oldest first, beyond a limit while they wait for Postgres, and that is reported', async () => {
    const { client } = system.redis;
    const many = Array.from({ length: DYING_LIMIT }, (_, n) => ({ score: 1000 + n, value: `old-${n}` }));
    await client.zAdd('bq:default:dead', many);
    await client.hSet('bq:default:jobs', { 'old-0': '{}', 'old-1': '{}' });
    const killed = await store(client, 'delayed', { class: 'MoodyJob', args: ['a'], errors: ['not yet'] });
    await system.postgres.query('alter table job_dead rename to job_dead_away');
    try {
      assert.equal(await isMoved(sets.retry.killMany({ ids: [killed] })), true);
    } finally {
      await system.postgres.query('alter table job_dead_away rename to job_dead');
    }
    assert.deepEqual(await client.hmGet('bq:default:jobs', ['old-0', 'old-1']), [null, '{}']);
    await system.processor([MoodyJob]);
    await until('the drop is reported', () => system.eventsNamed('dead.dropped').length === 1);
    assert.deepEqual(system.eventsNamed('dead.dropped'), [{ queue: 'default', count: 1, reason: 'limit' }]);
    assert.equal(await sets.dead.count(), DYING_LIMIT);
  });

  it('keep their cursor and progress when an operator kills them, even progress that is not JSON', async () => {
    const { client } = system.redis;
    const ids: string[] = [];
    for (const progress of ['0.5', 'half']) {
      const id = await store(client, 'delayed', { class: 'MoodyJob', args: ['a'], errors: ['not yet'] });
      await client.hSet('bq:default:cursor', id, '"a third"');
      await client.hSet('bq:default:progress', id, progress);
      ids.push(id);
    }
    await sets.retry.killMany({ ids });
    const entries = await sets.dead.entries(ids);
    assert.deepEqual(
      entries.map(({ progress, class: name, reason }) => [progress, name, reason]),
      [
        [0.5, 'MoodyJob', 'killed by an operator'],
        ['half', 'MoodyJob', 'killed by an operator'],
      ],
    );
    assert.deepEqual(await inRedis(), []);
    const [row] = await system.postgres.query<{ options: string }>('select options from job_dead limit 1');
    assert.equal((JSON.parse(row?.options ?? '{}') as { cursor?: string }).cursor, '"a third"');
  });

  it('can be retried while Redis is down, and are queued with their cursor as soon as it is back', async () => {
    const processor = await system.processor([MoodyJob]);
    const { id } = await MoodyJob.performLater('a');
    await isDead(id);
    processor.quiet();
    await system.redisServer.stop();
    await until('the loss of Redis is known', () => !system.redis.client.isReady);
    const { place } = await sets.find({ id, queue: 'default' });
    assert.equal(place, 'dead');
    assert.equal(await isMoved(sets.dead.retryMany({ ids: [id] })), true);
    assert.deepEqual([await system.deadIds(), await system.outboxSize()], [[], 1]);
    await system.redisServer.start();
    const queued = await until(
      'the job is on its queue',
      async () => (await sets.waiting('default').page()).entries[0],
    );
    assert.deepEqual([queued.id, queued.attempts, queued.reason, queued.errors.length], [id, 0, undefined, 1]);
    const record = JSON.parse((await system.redis.client.hGet('bq:default:jobs', id)) ?? '') as {
      readonly options: { readonly cursor?: string };
    };
    assert.equal(record.options.cursor, '"a half done"');
  });

  it('stay retried when that happens before they are removed from Redis', async () => {
    const id = await halfHandedOver(5000);
    assert.equal(await isMoved(sets.dead.retryMany({ ids: [id] })), true);
    assert.equal(await handOver(stores(), 'default'), 0, 'this death was stored before');
    assert.deepEqual([await system.deadIds(), await system.outboxSize(), await inRedis()], [[], 1, []]);
    deadly = false;
    await system.processor([MoodyJob]);
    await until('the job has run', () => ran.length === 1);
    await until('its row is gone', async () => (await system.outboxSize()) === 0);
    assert.equal((await sets.find(id)).place, 'gone');
  });

  it('stay retried, too, when the relay has dispatched them before that', async () => {
    const id = await halfHandedOver(5000);
    await isMoved(sets.dead.retryMany({ ids: [id] }));
    const job = { id, queue: 'default', record: recordText({ class: 'MoodyJob', args: ['anew'] }), diedAt: 5000 };
    assert.deepEqual(await dispatch(system.redis.client, [job]), ['queued']);
    assert.equal(await handOver(stores(), 'default'), 0);
    const { entries } = await sets.waiting('default').page();
    assert.deepEqual(
      entries.map(({ args }) => args),
      [['anew']],
    );
    assert.deepEqual([await system.deadIds(), await inRedis()], [[], ['jobs']]);
  });

  it('stay deleted when that happens before they are removed from Redis', async () => {
    const id = await halfHandedOver(5000);
    await system.redisServer.stop();
    assert.equal(await isMoved(sets.dead.deleteMany({ ids: [id] })), true);
    await system.redisServer.start();
    await until('Redis is back', () => system.redis.client.isReady);
    await system.processor([MoodyJob]);
    await until('the job is removed from Redis', async () => (await inRedis()).length === 0);
    assert.deepEqual([await system.deadIds(), (await sets.find(id)).place], [[], 'gone']);
  });

  it('stay deleted when Redis is restored from an older copy', async () => {
    const id = await halfHandedOver(5000);
    await system.processor([MoodyJob], { tuning: { outbox: { sweepMs: 20 } } });
    await until('the job is removed from Redis', async () => (await inRedis()).length === 0);
    await isMoved(sets.dead.deleteMany({ ids: [id] }));
    const { client } = system.redis;
    for (const round of ['one', 'another']) {
      await client.zAdd('bq:default:ended', { score: Date.now(), value: `${round} sweep` });
      await until('a sweep has run', async () => (await client.exists('bq:default:ended')) === 0);
    }
    await store(client, 'dead', { id, class: 'MoodyJob', args: ['a'], errors: ['no a'], at: 5000 });
    await until('the job is removed from Redis again', async () => (await inRedis()).length === 0);
    assert.deepEqual(await system.deadIds(), []);
  });

  it('are left in Redis when they have died again since they were read there', async () => {
    const { client } = system.redis;
    const job = { id: randomUUID(), class: 'MoodyJob', args: ['a'] };
    await store(client, 'dead', { ...job, errors: ['no a'], at: 4000 });
    assert.equal(await handOver(stores(), 'default'), 1);
    await store(client, 'dead', { ...job, errors: ['no a'], at: 5000 });
    let calls = 0;
    /** The job dies again just after it has been read. */
    const racing: RedisClient = Object.create(client, {
      evalSha: {
        value: async (...args: Parameters<RedisClient['evalSha']>) => {
          const reply = await client.evalSha(...args);
          if (++calls === 1) await store(client, 'dead', { ...job, errors: ['no again'], at: 9000 });
          return reply;
        },
      },
    });
    assert.equal(await handOver({ ...stores(), redis: racing }, 'default', [job.id]), 1);
    assert.deepEqual(await inRedis(), ['dead', 'jobs']);
    assert.equal(await handOver(stores(), 'default'), 1);
    assert.deepEqual([(await ofDead(job.id))?.errors[0]?.message, await inRedis()], ['Error: no again', []]);
  });

  it('are not dispatched again when a relay was killed between their dispatch and its COMMIT', async () => {
    const id = await halfHandedOver(5000);
    await handOver(stores(), 'default');
    await isMoved(sets.dead.retryMany({ ids: [id] }));
    // The job was dispatched, has run and died again, but its row still says that it must be dispatched.
    await store(system.redis.client, 'dead', { id, class: 'MoodyJob', args: ['a'], errors: ['no again'], at: 9000 });
    const again = { id, queue: 'default', record: recordText({ class: 'MoodyJob' }), diedAt: 5000 };
    assert.deepEqual(await dispatch(system.redis.client, [again]), ['known']);
    await system.processor([MoodyJob]);
    await isDead(id);
    await until('the row is gone', async () => (await system.outboxSize()) === 0);
    await MoodyJob.performLater('another');
    await until('another has run', () => ran.length > 0);
    assert.deepEqual([ran, (await ofDead(id))?.errors[0]?.message], [['another'], 'Error: no again']);
  });

  it('can be retried although Redis remembers their end, as it does for jobs that bypassed the outbox', async () => {
    await system.processor([MoodyJob]);
    const { id } = await MoodyJob.performLater('a');
    await isDead(id);
    assert.notEqual(await system.redis.client.zScore('bq:default:tombstones', id), null);
    deadly = false;
    await isMoved(sets.dead.retryMany({ ids: [id] }));
    await until('the job has run again', () => ran.length === 2);
  });

  it('are moved to Postgres from the keys of older versions', async () => {
    const { client } = system.redis;
    const id = await store(client, 'dead', { class: 'MoodyJob', args: ['a'], reason: 'long ago', at: 5000 });
    await client.sAdd('bq:default:failed', id);
    await client.hSet('bq:default:gists', id, '5000');
    await system.processor([MoodyJob]);
    await isDead(id);
    await until('Redis has forgotten them', async () => (await inRedis()).length === 0);
    assert.equal(await client.exists('bq:default:gists'), 0);
    assert.equal((await ofDead(id))?.at?.getTime(), 5000);
  });

  it('are no longer dead when a process that was taken for dead completes them after all', async () => {
    const processor = await system.processor([MoodyJob]);
    const ids = [randomUUID(), '7'];
    for (const id of ids) await storeDead(system.database.knex, { id, at: Date.now() - 60_000 });
    await system.redis.client.zAdd(
      'bq:default:ended',
      ids.map((value) => ({ score: Date.now(), value })),
    );
    processor.quiet();
    await system.processor([MoodyJob]);
    await until('they are no longer dead', async () => (await system.deadIds()).length === 0);
  });

  it('are found while they move from Redis to Postgres', async () => {
    const { client } = system.redis;
    const id = await store(client, 'dead', { class: 'MoodyJob', args: ['a'], at: 5000 });
    const queues = async () => {
      await handOver(stores(), 'default');
      return ['default'];
    };
    assert.equal((await findJob({ ...stores(), queues }, id)).place, 'dead');
  });

  it('keep everything in their records, even text that Postgres cannot store', async () => {
    const texts: JsonValue[] = ['\0', '\ud800', '€한국\u2028', '{}', ''];
    const id = randomUUID();
    const record = recordText({
      class: 'Odd\0Job',
      args: texts,
      tags: ['t\0', '\udfff'],
      errors: ['e\0'],
      reason: 'r\0',
      status: 'failed',
      progress: { share: 0.5 },
    });
    const deep = `{"data":{"class":"DeepJob","args":${'['.repeat(50_000)}${']'.repeat(50_000)}},"options":{},"status":"failed"}`;
    await insertDeaths(system.database.knex, [
      { id, queue: 'default', record, diedAt: 5000 },
      { id: 'deep', queue: 'default', record: deep, diedAt: 5001 },
      { id: 'none', queue: 'default', record: undefined, diedAt: 5002 },
      { id: 'junk\0', queue: 'default', record: 'j\0nk', diedAt: Number.POSITIVE_INFINITY },
    ]);
    const {
      class: name,
      args,
      tags,
      reason,
      errors,
      progress,
    } = (await ofDead(id)) ?? assert.fail('the job is not dead');
    assert.deepEqual([name, args, tags, reason], ['Odd\0Job', texts, ['t\0', '\udfff'], 'r\0']);
    assert.deepEqual([errors[0]?.message, progress], ['Error: e\0', { share: 0.5 }]);
    const { entries, total } = await sets.dead.page();
    assert.equal(total, 4);
    assert.deepEqual(
      entries.map((entry) => [entry.id, entry.raw?.slice(0, 12)]),
      [
        ['junk\ufffd', 'j\ufffdnk'],
        ['none', undefined],
        ['deep', entries[2]?.raw?.slice(0, 12)],
        [id, undefined],
      ],
    );
  });
});
