import assert from 'node:assert/strict';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const begun: string[] = [];

class SyncJob extends Job<[name: string]> {
  static override readonly unique = { until: 'executing' } as const;

  perform(name: string): void {
    begun.push(name);
    if (name === 'dead') throw new KillJob('no use');
  }
}

describe('the release of the claim of a unique job', () => {
  const system = useJobSystem({ empty: [begun] });

  it('is over before its job begins', async () => {
    const { id } = await SyncJob.performLater('fine');
    await system.postgres.query(`
      create function wait_for_test() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock(1); return new; end $$`);
    await system.postgres.query(`
      create trigger wait_for_test before update on job_queue for each row
      when (old.unique_key is not null and new.unique_key is null) execute function wait_for_test()`);
    const holder = await system.database.knex.transaction();
    try {
      await holder.raw('select pg_advisory_xact_lock(1)');
      await system.processor([SyncJob]);
      await until('the release waits', async () => {
        const waiting = `select 1 from pg_locks where locktype = 'advisory' and not granted`;
        return (await system.postgres.query(waiting)).length > 0;
      });
      assert.deepEqual(begun, []);
      await holder.commit();
      await until('the job has succeeded', () => system.eventsNamed('job.succeeded')[0]?.id === id);
    } finally {
      if (!holder.isCompleted()) await holder.rollback();
      await system.postgres.query('drop function wait_for_test cascade');
    }
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
