import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { CronTable } from '../../../lib/job/cron/cron-table';
import { Deadline } from '../../../lib/support/async';
import { until } from '../../support/until';
import { YearlyJob } from '../child-jobs';
import { startChildProcessor } from '../child-processor';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, NEW_YEARS, ran, recurring, sleptSince2023, ticksOf } from './cron-stage';

describe('recurring jobs while processors start and stop', () => {
  const system = useJobSystem({ empty: [ran] });

  it('are enqueued once a tick by one of three processors, even as one stops and another starts', async () => {
    const jobClass = recurring({ at: EVERY_SECOND, catchUp: 'all' });
    const [first] = await Promise.all([
      system.processor([jobClass]),
      system.processor([jobClass]),
      system.processor([jobClass]),
    ]);
    await until('two jobs have run', () => ran.length >= 2);
    await first?.stop(Deadline.after(30_000));
    await until('four jobs have run', () => ran.length >= 4);
    await system.processor([jobClass]);
    await until('six jobs have run', () => ran.length >= 6);
    const runs = ticksOf('TickJob');
    assert.equal(new Set(runs).size, runs.length, 'none ran twice');
    const ticks = system.eventsNamed('cron.enqueued').map((event) => event.scheduledFor.getTime());
    const [start = 0] = ticks;
    assert.deepEqual(
      ticks,
      ticks.map((_, n) => start + n * 1000),
      'one tick for each second',
    );
  });

  it('neither lose nor repeat a tick when a processor is killed in its transaction', async () => {
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
    assert.equal(system.eventsNamed('job.succeeded').length, 1);
    const [listing] = await new CronTable(system.database.knex).list();
    assert.equal(listing?.lastTick?.toISOString(), NEW_YEARS.at(-1));
  });
});
