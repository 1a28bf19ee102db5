import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Relay } from '../../../lib/job/outbox/relay';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/async';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';

/** How many rows one pass copies at most. */
const BATCH = 500;

describe('the relay', () => {
  let postgres: TestDatabase;
  let database: Database;
  let relay: Relay | undefined;
  let redis: Redis;
  let server: TestRedis;
  const errors: Error[] = [];
  before(async () => {
    postgres = await createDatabase({ migrated: ['lib/job/migrations'] });
    database = new Database(postgres.url, { production: false, events: new Events() });
  });
  after(async () => {
    await database.stop(Deadline.after(30_000));
    await postgres.drop();
  });
  beforeEach(async () => {
    await postgres.query('truncate job_outbox');
    errors.length = 0;
  });
  afterEach(async () => {
    await relay?.task.stop();
    await redis.stop(Deadline.after(30_000));
    await server.remove();
  });

  const connect = async (...settings: string[]) => {
    server = await startTestRedis(...settings);
    redis = new Redis(server.url, new Events());
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
  };
  const start = async (mostWaiting: number | undefined, ...settings: string[]) => {
    await connect(...settings);
    copy(mostWaiting);
  };
  const copy = (mostWaiting?: number) => {
    relay = new Relay({
      knex: database.knex,
      redis: redis.client,
      mostWaiting,
      onError: (error) => errors.push(error),
    });
    relay.start();
  };

  /** Rows numbered from 1, due in the order of their numbers, all in the past. */
  const insert = (queue: string, count: number, { fill = '', secondsAgo = 3600 } = {}) =>
    postgres.query(
      `insert into job_outbox (id, queue, class, payload, run_at)
       select gen_random_uuid(), $1, 'EchoJob', '{"v":1,"class":"EchoJob","args":[' || n || ',"' || $2 || '"],"via":"outbox"}',
         now() - $3 * interval '1 second' + n * interval '1 microsecond'
       from generate_series(1, $4) as n`,
      [queue, fill, secondsAgo, count],
    );
  const waiting = (queue: string) => redis.client.lLen(`bq:${queue}:waiting`);
  const inOutbox = async () => {
    const [row] = await postgres.query<{ n: number }>(
      'select count(*)::int as n from job_outbox where dispatched_at is null',
    );
    return row?.n ?? -1;
  };
  /** Takes up to `count` jobs as a processor would. @returns their numbers. */
  const consume = async (queue: string, count: number): Promise<number[]> => {
    const { client } = redis;
    const ids = (await client.rPopCount(`bq:${queue}:waiting`, count)) ?? [];
    if (ids.length === 0) return [];
    const records = await client.hmGet(`bq:${queue}:jobs`, ids);
    await client.hDel(`bq:${queue}:jobs`, ids);
    return records.map((text) => Number(JSON.parse(String(text)).data.args[0]));
  };
  const consumeAll = async (queue: string, total: number, each: () => Promise<void>): Promise<number[]> => {
    const seen: number[] = [];
    await until('all jobs have come through', async () => {
      await each();
      seen.push(...(await consume(queue, 250)));
      return seen.length >= total;
    });
    return seen;
  };
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  it('stops copying when a queue is full, goes on as it drains, and keeps the order', async () => {
    await insert('default', 3000);
    await start(800);
    await until('the queue is full', async () => (await waiting('default')) >= 800);
    let most = 0;
    const seen = await consumeAll('default', 3000, async () => {
      most = Math.max(most, await waiting('default'));
    });
    assert.deepEqual(seen, upTo(3000));
    assert.ok(most <= 800 + BATCH, `${most} waited at once`);
    // The relay commits only after it has copied the jobs to Redis.
    await until('no row is left to copy', async () => (await inOutbox()) === 0);
  });

  /** Holds all waiting jobs back, as the fetch script does for a class at its limit. @returns how many are held. */
  const hold = async (queue: string): Promise<number> => {
    const { client } = redis;
    const held = `bq:${queue}:blocked:EchoJob`;
    while (await client.lMove(`bq:${queue}:waiting`, held, 'RIGHT', 'LEFT'));
    await client.sAdd('catamount:blocked', held);
    return client.lLen(held);
  };

  it('counts jobs that are held for the limit of their class, and allows more of them', async () => {
    await insert('default', 3000);
    await start(60);
    await until('600 jobs are held', async () => (await hold('default')) >= 600);
    await until('the relay holds back', async () => relay?.fullQueues.length === 1 && (await waiting('default')) === 0);
    assert.ok((await redis.client.hLen('bq:default:jobs')) <= 600 + 2 * BATCH);
    await redis.client.del('bq:default:blocked:EchoJob');
    await until('the relay goes on', async () => (await waiting('default')) > 0);
  });

  it('stops copying when held jobs leave Redis short of memory', async () => {
    await insert('default', 6000, { fill: 'x'.repeat(3000) });
    await start(undefined, '--maxmemory', '12mb');
    await until('the relay holds back', async () => (await hold('default')) > 500 && relay?.fullQueues.length === 1);
    assert.ok((await inOutbox()) > 0);
    assert.deepEqual(errors, []);
    await redis.client.del(['bq:default:blocked:EchoJob', 'bq:default:jobs']);
    await until('the relay goes on', async () => (await waiting('default')) > 0);
  });

  it('copies rows for another queue while older rows wait for a full one', async () => {
    await insert('default', 3000);
    await start(600);
    await until('the queue is full', async () => (await waiting('default')) >= 600);
    await insert('mailer', 700, { secondsAgo: 1 });
    relay?.trigger();
    await until('the other queue has jobs', async () => (await waiting('mailer')) > 0);
    assert.ok((await waiting('default')) <= 600 + BATCH);
    const seen = await consumeAll('mailer', 700, async () => undefined);
    assert.deepEqual(seen, upTo(700));
    assert.ok((await inOutbox()) >= 3000 - 600 - BATCH, 'the full queue gets no more');
  });

  it('records since when a job could have run, however long it was in the outbox', async () => {
    await insert('default', 1, { secondsAgo: 90 });
    await start(undefined);
    await until('the job is copied', async () => (await waiting('default')) === 1);
    const [record] = Object.values(await redis.client.hGetAll('bq:default:jobs'));
    const [row] = await postgres.query<{ at: number }>(
      'select floor(extract(epoch from run_at) * 1000)::float8 as at from job_outbox',
    );
    assert.equal(JSON.parse(String(record)).options.timestamp, row?.at);
  });

  it('does not copy a job that Redis has, nor one that has ended there, whose row it deletes', async () => {
    await insert('default', 3);
    const [ended = '', copied = '', fresh = ''] = (
      await postgres.query<{ id: string }>('select id from job_outbox order by run_at')
    ).map(({ id }) => id);
    await connect();
    await redis.client.zAdd('bq:default:tombstones', { score: Date.now(), value: ended });
    await redis.client.hSet('bq:default:jobs', copied, 'as copied before a crash');
    await redis.client.lPush('bq:default:waiting', copied);
    copy();
    await until('the relay has handled all rows', async () => (await inOutbox()) === 0);
    const left = await postgres.query<{ id: string }>('select id from job_outbox order by run_at');
    assert.deepEqual(
      left.map(({ id }) => id),
      [copied, fresh],
    );
    assert.deepEqual(await redis.client.lRange('bq:default:waiting', 0, -1), [fresh, copied]);
    assert.equal(await redis.client.hGet('bq:default:jobs', copied), 'as copied before a crash');
  });

  it('leaves room in a Redis that is short of memory, and still copies everything in order', async () => {
    await insert('default', 6000, { fill: 'x'.repeat(3000) });
    await start(undefined, '--maxmemory', '12mb');
    await until('the relay holds back', async () => {
      const before = await inOutbox();
      return before < 6000 && before > 0;
    });
    let least = 0;
    const seen = await consumeAll('default', 6000, async () => {
      least = Math.max(least, Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]));
    });
    assert.deepEqual(seen, upTo(6000));
    assert.deepEqual(errors, []);
    assert.ok(least < 12 * 1024 * 1024, `${least} bytes were in use`);
  });
});
