import assert from 'node:assert/strict';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { JobSystem } from '../job-system';

class SyncJob extends Job<[name: string]> {
  static override readonly unique = { until: 'executing' } as const;

  perform(name: string): void {
    if (name === 'dead') throw new KillJob('no use');
  }
}

describe('the release of the claim of a unique job', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(async () => {
    await system.stop();
  });
  beforeEach(async () => {
    await system.reset();
  });

  for (const [name, end] of [
    ['fine', 'job.succeeded'],
    ['dead', 'job.dead'],
  ] as const) {
    it(`is reported when Postgres refuses it, and does not change the outcome ${end}`, async () => {
      const { id } = await SyncJob.performLater(name);
      await system.postgres.query(
        `alter table job_queue add constraint stuck check (unique_key is not null) not valid`,
      );
      try {
        await system.processor([SyncJob]);
        await until('the job has ended', () => system.eventsNamed(end)[0]);
        const [trouble] = system.eventsNamed('queue.error').filter(({ during }) => during.includes('claim'));
        assert.match(trouble?.error.message ?? '', /stuck/);
        assert.equal(system.eventsNamed(end)[0]?.id, id);
      } finally {
        await system.postgres.query('alter table job_queue drop constraint stuck');
      }
    });
  }
});
