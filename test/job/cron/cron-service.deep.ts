import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { CronTable } from '../../../lib/job/cron/cron-table';
import { until } from '../../support/until';
import { YearlyJob } from '../child-jobs';
import { startChildProcessor } from '../child-processor';
import { useJobSystem } from '../job-system';
import { NEW_YEARS, ran, sleptSince2023 } from './cron-stage';

describe('recurring jobs when a processor is killed', () => {
  const system = useJobSystem({ empty: [ran] });

  it('neither lose nor repeat a tick that it was enqueuing', async () => {
    await sleptSince2023(system, YearlyJob);
    const blocker = new pg.Client(system.postgres.url);
    await blocker.connect();
    let child: ChildProcess | undefined;
    try {
      await blocker.query('begin; lock table job_queue in access exclusive mode');
      child = startChildProcessor(system.urls);
      const inserting = async () => {
        const rows = await system.postgres.query(
          "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query ~* 'insert into job_queue'",
        );
        return rows.length > 0;
      };
      await until('the child is about to enqueue', inserting);
      await system.processor([YearlyJob], { tuning: { cron: { pollMs: 50 } } });
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.deepEqual(
        system.eventsNamed('cron.enqueued'),
        [],
        'the other processor does not touch a tick that is being enqueued',
      );
      await blocker.query('commit');
    } finally {
      child?.kill('SIGKILL');
      await blocker.end();
    }
    await until('the job is enqueued', () => system.eventsNamed('cron.enqueued').length > 0);
    await until('the job has run', () => system.eventsNamed('job.succeeded').length > 0);
    await until('no job is left', async () => (await system.jobCount()) === 0);
    await until('one success is told', () => system.eventsNamed('job.succeeded').length === 1);
    const [listing] = await new CronTable(system.database.knex).list();
    assert.equal(listing?.lastTick?.toISOString(), NEW_YEARS.at(-1));
  });
});
