import assert from 'node:assert/strict';
import { CronService } from '../../../lib/job/cron/cron-service';
import { cronEntries } from '../../../lib/job/cron/schedule';
import { Gate } from '../../../lib/job/dispatch/gate';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, recurring } from './cron-stage';

describe('recurring jobs while it is unknown whether the database is a copy', () => {
  const system = useJobSystem();

  it('count as stalled, with the cause, and are enqueued soon after it is known', async () => {
    const { knex } = system.database;
    await system.postgres.query('alter table job_installation rename to away');
    const service = new CronService({
      knex,
      events: system.events,
      entries: cronEntries([recurring(EVERY_SECOND)]),
      gate: new Gate({ knex, onCopy: () => undefined }),
      tuning: { pollMs: 3_600_000 },
    });
    service.start();
    try {
      await until('the cause is reported', () => /job_installation/.test(service.progress.read().error?.message ?? ''));
      assert.equal(service.progress.read().movedMs, null);
      await system.postgres.query('alter table away rename to job_installation');
      await until('a job is enqueued', () => system.eventsNamed('cron.enqueued').length > 0);
      assert.equal(service.progress.read().error, undefined);
    } finally {
      await service.task.stop();
    }
  });

  it('are not enqueued while the database is a copy', async () => {
    const { knex } = system.database;
    await system.postgres.query(`update job_installation set origin = origin || ' before'`);
    let copies = 0;
    const gate = new Gate({ knex, onCopy: () => copies++ });
    const entries = cronEntries([recurring(EVERY_SECOND)]);
    const service = new CronService({ knex, events: system.events, entries, gate });
    service.start();
    try {
      await until('a pass has been made', () => service.progress.read().movedMs !== null);
      assert.equal(copies, 1);
      assert.deepEqual(await system.postgres.query('select name from job_cron'), []);
    } finally {
      await service.task.stop();
      await system.postgres.query(`update job_installation set origin = replace(origin, ' before', '')`);
    }
  });

  it('are not enqueued once another dump was restored, even before the gate knows', async () => {
    const { knex } = system.database;
    const gate = new Gate({ knex, onCopy: () => undefined });
    const entries = cronEntries([recurring(EVERY_SECOND)]);
    const service = new CronService({ knex, events: system.events, entries, gate });
    service.start();
    try {
      await until('a job is enqueued', () => system.eventsNamed('cron.enqueued').length > 0);
      await system.postgres.query(`update job_installation set origin = origin || ' before'`);
      await until('the next tick is refused', () => service.progress.read().error !== undefined);
      assert.notEqual(gate.origin, undefined);
    } finally {
      await service.task.stop();
      await system.postgres.query(`update job_installation set origin = replace(origin, ' before', '')`);
    }
  });
});
