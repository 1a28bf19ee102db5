import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { readFailingCron, readFailures, readMail } from '../../lib/health/probes';
import { OutcomeCounter } from '../../lib/job/stats/collector';
import { StatsWriter } from '../../lib/job/stats/stats-table';
import { jobId, store, storeDead } from '../job/sets/stored-job';
import { useDatabase, usePostgres } from '../support/stores';

describe('the probes of health:', () => {
  const testDatabase = usePostgres({ migrated: true });
  const database = useDatabase(testDatabase, { poolMax: 1 });
  beforeEach(() => testDatabase.query('truncate mail_deliveries, job_queue, job_dead'));

  const count = async (at: number, name: string, processed: number, failed: number) => {
    const [events, counter] = [new Events(), new OutcomeCounter()];
    counter.listen(events);
    const job = { id: 'j', class: name, queue: 'default' };
    for (let n = 0; n < processed; n++) events.emit('job.succeeded', { ...job, durationMs: 5 });
    for (let n = 0; n < failed; n++)
      events.emit('job.retrying', { ...job, attempt: 1, waitMs: 1, error: new Error('no') });
    await new StatsWriter(database.knex, counter, `${name} ${at}`).write(at);
  };
  const failures = (now: number) => readFailures(database.knex, new Date(now));

  it('classes fail of which many runs fail, and a large share; the most failures come first', async () => {
    const now = Date.now();
    await count(now, 'ImportJob', 3, 9);
    await count(now - 60_000, 'ImportJob', 0, 1);
    await count(now, 'NowAndThenJob', 1000, 20);
    await count(now, 'RareJob', 0, 4);
    await count(now, 'JustSoJob', 45, 5);
    await count(now, 'PushJob', 50, 100);
    await count(now - 3_600_000, 'LongAgoJob', 0, 500);
    await store(database.knex, 'scheduled', { class: 'ImportJob', errors: ['no disk'] });
    await storeDead(database.knex, { class: 'PushJob', at: now - 5000, errors: ['before'] });
    await storeDead(database.knex, { class: 'PushJob', at: now - 1000, errors: ['refused'] });
    assert.deepEqual((await failures(now)).classes, [
      { class: 'PushJob', failed: 100, runs: 150, error: 'Error: refused' },
      { class: 'ImportJob', failed: 10, runs: 13, error: 'Error: no disk' },
      { class: 'JustSoJob', failed: 5, runs: 50, error: '' },
    ]);
  });

  it('dead jobs count that died within a day and are still there', async () => {
    const now = Date.now();
    await storeDead(database.knex, { at: now - 2000, errors: ['before'] });
    await storeDead(database.knex, { at: now - 1000, errors: ['after'] });
    await storeDead(database.knex, { at: now - 2 * 86_400_000 });
    await storeDead(database.knex, { class: 'MailJob', queue: 'mailer', at: now - 80_000_000, errors: ['550 no'] });
    const [most, ...others] = (await failures(now)).dead;
    assert.deepEqual([most?.count, most?.error], [2, 'Error: after']);
    assert.deepEqual(others, [{ class: 'MailJob', count: 1, error: 'Error: 550 no' }]);
    await testDatabase.query('delete from job_dead');
    assert.deepEqual((await failures(now)).dead, []);
  });

  it('a recurring job fails whose latest run is dead or waits for a retry', async () => {
    const runs = {
      clean: jobId(1),
      first: await store(database.knex, 'scheduled', {}),
      dead: await storeDead(database.knex, { errors: ['no'] }),
      retried: await store(database.knex, 'scheduled', { errors: ['not yet'] }),
    };
    for (const [name, id] of Object.entries(runs))
      await testDatabase.query(
        `insert into job_cron (name, class, spec, time_zone, catch_up, last_enqueued_id)
         values ($1, 'TickJob', '* * * * *', 'UTC', 'skip', $2)`,
        [name, id],
      );
    assert.deepEqual(await readFailingCron(database.knex), [
      { name: 'dead', class: 'TickJob', place: 'dead', error: 'Error: no', dueAt: null },
      { name: 'retried', class: 'TickJob', place: 'retry', error: 'Error: not yet', dueAt: null },
    ]);
  });

  it('a recurring job was missed that nobody has enqueued for minutes, unless it is paused', async () => {
    await testDatabase.query('truncate job_cron');
    for (const [name, ago, paused] of [
      ['missed', '10 min', false],
      ['paused', '10 min', true],
      ['soon', '90 s', false],
    ])
      await testDatabase.query(
        `insert into job_cron (name, class, spec, time_zone, catch_up, paused, settled_until)
         values ($1, 'TickJob', '* * * * *', 'UTC', 'skip', $3, date_trunc('minute', clock_timestamp()) - $2::interval)`,
        [name, ago, paused],
      );
    const [missed, ...others] = await readFailingCron(database.knex);
    assert.deepEqual(others, []);
    assert.deepEqual([missed?.name, missed?.place], ['missed', 'missed']);
    assert.equal(Math.round((Date.now() - Number(missed?.dueAt)) / 60_000 - 0.5), 9);
    await testDatabase.query('truncate job_cron');
  });

  /** A mail of a job. @param hoursAgo when it was begun. @param sentAgo when it was sent, in minutes. */
  const mail = (job: string, state: 'sent' | 'failed', hoursAgo: number, sentAgo = 0) =>
    testDatabase.query(`
      insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
        claimed_by_pid, error, sent_at, created_at)
      values ('${job}/x/1', 'UserMailer', 'welcome', '{a@example.com}', 'Hello', '<a>', '${state}', gen_random_uuid(),
        now(), 1, ${state === 'failed' ? `'450 busy'` : 'null'},
        ${state === 'sent' ? `now() - interval '${sentAgo} min'` : 'null'}, now() - interval '${hoursAgo} h')`);

  it('the last mail is the one sent last, even if it was begun days ago', async () => {
    await mail(jobId(1), 'sent', 50, 7);
    await mail(jobId(2), 'failed', 1);
    await testDatabase.query(`update mail_deliveries set updated_at = now() - interval '8 min' where state = 'failed'`);
    await mail(jobId(3), 'failed', 0);
    const { lastSent, failedSince } = await readMail(database.knex);
    assert.equal(Math.round((Date.now() - Number(lastSent)) / 60_000), 7);
    assert.equal(failedSince, 1);
  });

  it('mails to be retried are counted apart from those that have failed: their jobs run again by themselves', async () => {
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
    const { failedToday, retryingToday } = await readMail(knex);
    assert.deepEqual({ failedToday, retryingToday }, { failedToday: 3, retryingToday: 3 });
  });
});
