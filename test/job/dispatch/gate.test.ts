import assert from 'node:assert/strict';
import { Client } from 'pg';
import { Gate } from '../../../lib/job/dispatch/gate';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

describe('the gate', () => {
  const system = useJobSystem();

  it('lets nobody go on with what another caller has not read yet', async () => {
    const gate = new Gate({ knex: system.database.knex, onCopy: () => undefined });
    await gate.refresh();
    assert.deepEqual([...gate.paused], []);
    const holder = new Client({ connectionString: system.postgres.url });
    await holder.connect();
    try {
      await holder.query('begin; lock table job_pauses in access exclusive mode');
      gate.forget();
      const first = gate.refresh();
      let isDone = false;
      const second = gate.refresh().then(() => {
        isDone = true;
      });
      await until('the read waits', async () => {
        const rows = await system.postgres.query(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return rows.length > 0;
      });
      assert.equal(isDone, false);
      gate.forget();
      await holder.query(`insert into job_pauses values ('default', now(), 'test'); commit`);
      await Promise.all([first, second]);
      assert.deepEqual([...gate.paused], ['default']);
      // The read had begun before this, so that it counts for nothing once somebody has told of it.
      await system.postgres.query(`insert into job_pauses values ('mailer', now(), 'test')`);
      await gate.refresh();
      assert.deepEqual([...gate.paused].sort(), ['default', 'mailer']);
    } finally {
      await holder.end();
    }
  });
});
