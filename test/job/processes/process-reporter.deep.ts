import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { ProcessReporter } from '../../../lib/job/processes/process-reporter';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { TcpProxy } from '../../support/tcp-proxy';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

class NoteJob extends Job {
  perform(): void {}
}

describe('what a processor reports of itself', () => {
  const system = useJobSystem();
  let proxy: TcpProxy;
  let database: Database;
  before(async () => {
    proxy = await TcpProxy.start(system.postgres.url);
    database = new Database(proxy.url, { production: false, events: system.events });
  });
  after(async () => {
    await database.stop(Deadline.after(1000));
    await proxy.down();
  });

  it('is a sign of life while a long job runs among short ones, and the death of another until Postgres has heard of it', async () => {
    await NoteJob.performLater();
    await system.postgres.query(`update job_queue set state = 'running', claimed_by = 'dead', claimed_at = now()`);
    let rescued = 0;
    let short = 0;
    const reporter = new ProcessReporter({
      config: { jobs: { enabled: true, concurrency: 2, weighted: false, latencyWarningMs: 0, queues: [] } },
      database,
      events: system.events,
      identity: 'living',
      dead: ['dead'],
      tuning: {},
      history: false,
      isIdle: () => false,
      snapshot: () => ({ running: [{ id: 'long' }, { id: `short ${short++}` }] }),
      onRescued: ({ length }) => {
        rescued += length;
      },
      knowsClass: () => true,
    });
    await proxy.down();
    reporter.start();
    try {
      await until('the first try has failed', () => system.eventsNamed('queue.error').length > 0);
      await proxy.up();
      await until('the job of the dead one is returned', () => rescued === 1);
      await until('it has shown that it lives', async () => {
        const rows = await system.postgres.query<{ identity: string }>('select identity from job_processes');
        return rows.some(({ identity }) => identity === 'living');
      });
    } finally {
      await reporter.stop(Deadline.after(5000));
    }
    assert.equal(rescued, 1);
  });
});
