import assert from 'node:assert/strict';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { until } from '../support/until';

const JOBS = 400;

describe('jobs with large arguments', () => {
  const app = useSupervisorApp();

  it('of 1 MB all run in a small tree, 25 at a time, and its job processor survives them', async () => {
    await app.database.query(
      `insert into job_queue (id, queue, class, payload)
         select gen_random_uuid(), 'default', 'FragileJob', json_build_object('class', 'FragileJob', 'args', json_build_array(repeat('x', 1000000)))
         from generate_series(1, $1)`,
      [JOBS],
    );
    const tree = await app.start({
      WEB_CONCURRENCY: '1',
      MEMORY_LIMIT_MB: '512',
      JOB_CONCURRENCY: '25',
    });
    await until('all jobs have ended', async () => {
      const [row] = await app.database.query<{ count: number }>('select count(*)::int from job_queue');
      return row?.count === 0;
    });
    assert.deepEqual(tree.linesMatching(/job processor, pid [0-9]+, (exited|was killed)/), []);
    assert.deepEqual(await app.database.query('select id from job_dead'), []);
    assert.equal((await tree.stop()).code, 0);
  });
});
