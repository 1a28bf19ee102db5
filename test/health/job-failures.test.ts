import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { readFailingCron, readFailures } from '../../lib/health/probes';
import { OutcomeCounter } from '../../lib/job/stats/collector';
import { StatsWriter } from '../../lib/job/stats/stats-table';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { jobId, store, storeDead } from '../job/sets/stored-job';
import { createDatabase, type TestDatabase } from '../support/postgres';

describe('the failing jobs', () => {
  let database: TestDatabase;
  let db: Database;
  before(async () => {
    database = await createDatabase({ migrated: true });
    const events = new Events();
    db = new Database(database.url, { production: false, events, poolMax: 1 });
  });
  after(async () => {
    await db?.stop(Deadline.after(1000));
    await database?.drop();
  });

  const count = async (at: number, name: string, processed: number, failed: number) => {
    const [events, counter] = [new Events(), new OutcomeCounter()];
    counter.listen(events);
    const job = { id: 'j', class: name, queue: 'default' };
    for (let n = 0; n < processed; n++) events.emit('job.succeeded', { ...job, durationMs: 5 });
    for (let n = 0; n < failed; n++)
      events.emit('job.retrying', { ...job, attempt: 1, waitMs: 1, error: new Error('no') });
    await new StatsWriter(db.knex, counter, `${name} ${at}`).write(at);
  };

  it('are listed by class when many runs fail, and a large share of them, the most failures first', async () => {
    const now = Date.now();
    await count(now, 'ImportJob', 3, 9);
    await count(now - 60_000, 'ImportJob', 0, 1);
    await count(now, 'NowAndThenJob', 1000, 20);
    await count(now, 'RareJob', 0, 4);
    await count(now, 'PushJob', 50, 100);
    await count(now - 3_600_000, 'CalmByNowJob', 0, 500);
    const { classes } = await readFailures(db.knex, new Date(now));
    assert.deepEqual(classes, [
      { class: 'PushJob', failed: 100, runs: 150 },
      { class: 'ImportJob', failed: 10, runs: 13 },
    ]);
  });

  it('include the dead jobs of the last day that nobody has handled yet', async () => {
    const now = Date.now();
    await storeDead(db.knex, { at: now - 1000 });
    await storeDead(db.knex, { at: now - 2 * 86_400_000 });
    await storeDead(db.knex, { queue: 'mailer', at: now - 80_000_000 });
    assert.equal((await readFailures(db.knex, new Date(now))).dead, 2);
    await database.query('delete from job_dead');
    assert.equal((await readFailures(db.knex, new Date(now))).dead, 0);
  });

  it('include recurring jobs whose latest run is dead or waits for a retry', async () => {
    const runs = {
      clean: jobId(1),
      first: await store(db.knex, 'scheduled', {}),
      dying: await storeDead(db.knex, { errors: ['no'] }),
      retried: await store(db.knex, 'scheduled', { errors: ['not yet'] }),
    };
    for (const [name, id] of Object.entries(runs))
      await database.query(
        `insert into job_cron (name, class, spec, time_zone, catch_up, last_enqueued_id)
         values ($1, 'TickJob', '* * * * *', 'UTC', 'skip', $2)`,
        [name, id],
      );
    assert.deepEqual(await readFailingCron(db.knex), [
      { name: 'dying', place: 'dead' },
      { name: 'retried', place: 'retry' },
    ]);
  });
});
