import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { readMail } from '../../lib/health/probes';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { store, storeDead } from '../job/sets/stored-job';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { until } from '../support/until';

describe('the figures on mails', () => {
  let server: TestRedis;
  let redis: Redis;
  let testDatabase: TestDatabase;
  let database: Database;
  before(async () => {
    [server, testDatabase] = await Promise.all([startTestRedis(), createDatabase({ migrated: true })]);
    const events = new Events();
    redis = new Redis(server.url, events);
    database = new Database(testDatabase.url, { production: false, events });
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
  });
  after(async () => {
    await Promise.all([redis?.stop(Deadline.after(5000)), database?.stop(Deadline.after(5000))]);
    await Promise.all([server?.remove(), testDatabase?.drop()]);
  });
  beforeEach(async () => {
    await testDatabase.query('truncate mail_deliveries, job_outbox, job_dead');
    await redis.client.flushAll();
  });

  /** A mail of a job. @param hoursAgo when it was begun. @param sentAgo when it was sent, in minutes. */
  const mail = (job: string, state: 'sent' | 'failed', hoursAgo: number, sentAgo = 0) =>
    testDatabase.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, error, sent_at, created_at)
      values ('${job}/x/1', 'UserMailer', 'welcome', '{a@example.com}', 'Hello', '<a>', '${state}', gen_random_uuid(),
        now(), 1, ${state === 'failed' ? `'450 busy'` : 'null'},
        ${state === 'sent' ? `now() - interval '${sentAgo} min'` : 'null'}, now() - interval '${hoursAgo} h')`);
  const read = () => readMail({ knex: database.knex, redis: redis.client, queues: ['default', 'mailer'] });

  it('find the mail sent last, even if it was begun days ago', async () => {
    await mail('slow', 'sent', 50, 7);
    await mail('a', 'failed', 0);
    const { lastSent, failedSince } = await read();
    assert.equal(Math.round((Date.now() - Number(lastSent)) / 60_000), 7);
    assert.equal(failedSince, 1);
  });

  it('count mails to be retried, whose jobs wait in Redis, apart from those that have failed', async () => {
    const { client } = redis;
    await store(client, 'delayed', { id: 'retried', queue: 'mailer', errors: ['450 busy'] });
    await store(client, 'waiting', { id: 'waiting', queue: 'mailer' });
    await storeDead(database.knex, { id: 'dead', queue: 'mailer', errors: ['550 no'] });
    // It has just died and is not in Postgres yet.
    await store(client, 'dead', { id: 'dying', queue: 'mailer', errors: ['550 no'] });
    for (const job of ['retried', 'waiting', 'dead', 'dying', 'gone', 'once']) await mail(job, 'failed', 0);
    const { failedToday, retryingToday } = await read();
    assert.deepEqual({ failedToday, retryingToday }, { failedToday: 4, retryingToday: 2 });
  });

  it('never count a mail as to be retried while its dead job moves from Redis to Postgres', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `dying-${index}`);
    for (const id of ids) {
      await store(redis.client, 'dead', { id, queue: 'mailer', errors: ['550 no'] });
      await mail(id, 'failed', 0);
    }
    const handOver = async () => {
      for (const id of ids) {
        await storeDead(database.knex, { id, queue: 'mailer', errors: ['550 no'] });
        await redis.client.zRem('bq:mailer:dead', id);
        await redis.client.hDel('bq:mailer:jobs', id);
      }
      return 'all handed over';
    };
    const moving = handOver();
    const seen: number[] = [];
    while ((await Promise.race([moving, read()])) !== 'all handed over') seen.push((await read()).retryingToday);
    assert.deepEqual(
      seen.filter((retrying) => retrying !== 0),
      [],
      `of ${seen.length} reads`,
    );
    assert.ok(seen.length > 0);
  });

  it('count all unsent mails as failed without Redis, which knows the jobs', async () => {
    await store(redis.client, 'delayed', { id: 'retried', queue: 'mailer', errors: ['450 busy'] });
    await mail('retried', 'failed', 0);
    await server.stop();
    const { failedToday, retryingToday } = await read();
    assert.deepEqual({ failedToday, retryingToday }, { failedToday: 1, retryingToday: 0 });
  });
});
