import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { readMail } from '../../lib/health/probes';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { jobId, store, storeDead } from '../job/sets/stored-job';
import { createDatabase, type TestDatabase } from '../support/postgres';

describe('the figures on mails', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  before(async () => {
    testDatabase = await createDatabase({ migrated: true });
    database = new Database(testDatabase.url, { production: false, events: new Events() });
  });
  after(async () => {
    await database?.stop(Deadline.after(5000));
    await testDatabase?.drop();
  });
  beforeEach(() => testDatabase.query('truncate mail_deliveries, job_queue, job_dead'));

  /** A mail of a job. @param hoursAgo when it was begun. @param sentAgo when it was sent, in minutes. */
  const mail = (job: string, state: 'sent' | 'failed', hoursAgo: number, sentAgo = 0) =>
    testDatabase.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, error, sent_at, created_at)
      values ('${job}/x/1', 'UserMailer', 'welcome', '{a@example.com}', 'Hello', '<a>', '${state}', gen_random_uuid(),
        now(), 1, ${state === 'failed' ? `'450 busy'` : 'null'},
        ${state === 'sent' ? `now() - interval '${sentAgo} min'` : 'null'}, now() - interval '${hoursAgo} h')`);
  const read = () => readMail(database.knex);

  it('find the mail sent last, even if it was begun days ago', async () => {
    await mail(jobId(1), 'sent', 50, 7);
    await mail(jobId(2), 'failed', 0);
    const { lastSent, failedSince } = await read();
    assert.equal(Math.round((Date.now() - Number(lastSent)) / 60_000), 7);
    assert.equal(failedSince, 1);
  });

  it('count mails to be retried apart from those that have failed: their jobs run again by themselves', async () => {
    const { knex } = database;
    const jobs = [
      await store(knex, 'scheduled', { queue: 'mailer', errors: ['450 busy'] }),
      await store(knex, 'ready', { queue: 'mailer' }),
      await store(knex, 'held', { queue: 'mailer' }),
      await storeDead(knex, { queue: 'mailer', errors: ['550 no'] }),
      jobId(1),
      'once',
    ];
    for (const job of jobs) await mail(job, 'failed', 0);
    const { failedToday, retryingToday } = await read();
    assert.deepEqual({ failedToday, retryingToday }, { failedToday: 3, retryingToday: 3 });
  });
});
