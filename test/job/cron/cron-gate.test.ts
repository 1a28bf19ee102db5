import assert from 'node:assert/strict';
import { CronService } from '../../../lib/job/cron/cron-service';
import { cronEntries } from '../../../lib/job/cron/schedule';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, recurring } from './cron-stage';

describe('recurring jobs while it is unknown whether the database is a copy', () => {
  const system = useJobSystem(async () => {
    await system.postgres.query('truncate job_cron');
  });

  it('count as stalled, with the cause, and are enqueued soon after it is known', async () => {
    const state = { wasOpen: false };
    const gate = {
      opens: async () => state.wasOpen || Promise.reject(new Error('Socket closed unexpectedly')),
      ownsRowsIn: async () => true,
      get wasOpen() {
        return state.wasOpen;
      },
    };
    const service = new CronService({
      knex: system.database.knex,
      events: system.events,
      entries: cronEntries([recurring(EVERY_SECOND)]),
      gate,
      tuning: { pollMs: 3_600_000 },
    });
    service.start();
    try {
      await until(
        'the cause is reported',
        () => service.progress.read().error?.message === 'Socket closed unexpectedly',
      );
      assert.equal(service.progress.read().movedMs, null);
      state.wasOpen = true;
      await until('a job is enqueued', () => system.eventsNamed('cron.enqueued').length > 0);
      assert.equal(service.progress.read().error, undefined);
    } finally {
      await service.task.stop();
    }
  });
});
