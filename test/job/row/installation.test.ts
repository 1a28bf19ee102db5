import assert from 'node:assert/strict';
import { adoptDatabase, isCopy } from '../../../lib/job/row/installation';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { CommandLine } from '../cli/command-line';
import { sleptSince2023 } from '../cron/cron-stage';
import { useJobSystem } from '../job-system';
import { NoteJob, ran } from '../note-job';

describe('a database that is a copy of another one', () => {
  const system = useJobSystem({
    empty: [ran],
    reset: async () => {
      await adoptDatabase(system.database.knex);
    },
  });

  /** As a dump brings it along that was made elsewhere. */
  const copied = () => system.postgres.query(`update job_installation set origin = '1/2'`);
  const reported = () => system.eventsNamed('database.copied');
  const operator = () => new CommandLine(system, [NoteJob], { via: 'cli:ada' });

  it('runs none of its jobs, and says so once, until somebody adopts them', async () => {
    await copied();
    await transaction(() => NoteJob.performLater('brought along'));
    await system.processor([NoteJob]);
    await until('the copy is reported', () => reported().length === 1);
    assert.equal(await isCopy(system.database.knex), true);
    await NoteJob.performLater('enqueued here');
    // Whatever Redis does is none of its business.
    await system.redis.client.flushAll();
    await system.redisServer.restart({ wipe: true });
    await until('Redis is back', () => system.redis.client.isReady);
    await system.processor([NoteJob]);
    assert.deepEqual([ran, await system.jobCount()], [[], 2]);
    await assert.rejects(operator().run('adopt'), /^UserError: This would run the jobs that came with this database/);
    assert.equal((await operator().run('adopt --yes')).json.adopted, true);
    await until('its jobs run', () => ran.length === 2);
    assert.equal((await operator().run('adopt --yes')).json.adopted, false);
    assert.equal(await isCopy(system.database.knex), false);
  });

  it('enqueues no recurring job until somebody adopts it', async () => {
    class YearlyJob extends NoteJob {
      static override jobName = 'YearlyJob';
      static override readonly cron = { at: '@yearly', catchUp: 'once', args: ['due'] } as const;
    }
    await sleptSince2023(system, YearlyJob);
    await copied();
    await system.processor([NoteJob, YearlyJob], { tuning: { cron: { pollMs: 20 } } });
    await until('the copy is reported', () => reported().length === 1);
    assert.deepEqual(system.eventsNamed('cron.enqueued'), []);
    await adoptDatabase(system.database.knex);
    await until('the tick that was missed runs', () => ran.includes('due'));
  });

  it('runs nothing even if it replaces the original under a running processor', async () => {
    await system.processor([NoteJob]);
    await NoteJob.performLater('ours');
    await until('the job has run', () => ran.length === 1);
    // Like a dump of another database that is restored in one transaction.
    await transaction(async (trx) => {
      await trx.raw(`update job_installation set origin = '1/2'`);
      await NoteJob.performLater('brought along');
    });
    await until('the copy is reported', () => reported().length === 1);
    assert.deepEqual(ran, ['ours']);
    await adoptDatabase(system.database.knex);
    await until('its jobs run', () => ran.length === 2);
  });

  it('is none when it is restored in place: a dump of its own, under a running processor', async () => {
    await system.processor([NoteJob]);
    await NoteJob.performLater('before');
    await until('the job has run', () => ran.length === 1);
    await system.postgres.query('create table backup as select * from job_installation');
    // One by one, as pg_restore does: both in one statement deadlock with a claim, which locks the queue's rows first.
    await system.postgres.query('truncate job_queue');
    await system.postgres.query('truncate job_installation');
    await system.postgres.query('insert into job_installation select * from backup');
    await system.postgres.query('drop table backup');
    await NoteJob.performLater('afterwards');
    await until('the next job has run', () => ran.length === 2);
    assert.equal(await isCopy(system.database.knex), false);
  });

  it('whose note is missing counts as one, since nobody knows whose it is', async () => {
    await system.postgres.query('truncate job_installation');
    await NoteJob.performLater('whose?');
    await system.processor([NoteJob]);
    await until('the copy is reported', () => reported().length === 1);
    assert.deepEqual([ran, reported()[0]?.made], [[], null]);
    assert.equal(await adoptDatabase(system.database.knex), true);
    await until('the job has run', () => ran.length === 1);
  });
});
