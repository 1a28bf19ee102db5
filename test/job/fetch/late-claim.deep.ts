import assert from 'node:assert/strict';
import { Client } from 'pg';
import { Job } from '../../../lib/job/job';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { TcpProxy } from '../../support/tcp-proxy';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const HOUR = 3_600_000;
const ran: string[] = [];

class NoteJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}

describe('a claim that Postgres carries out after its processor has lost the connection', () => {
  const system = useJobSystem({ empty: [ran] });

  it('is undone some seconds later, so that the job runs', async () => {
    const proxy = await TcpProxy.start(system.postgres.url);
    const database = new Database(proxy.url, { production: false, events: system.events });
    const holder = new Client({ connectionString: system.postgres.url });
    await holder.connect();
    try {
      const { id } = await NoteJob.performLater('a');
      await holder.query('begin');
      await holder.query('select from job_queue where id = $1 for update', [id]);
      await system.processor([NoteJob], {
        database,
        databaseDirectUrl: system.postgres.url,
        tuning: { dispatch: { lookMs: HOUR, overdueMs: HOUR } },
      });
      const claims = async () =>
        system.postgres.query<{ pid: number }>(
          `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'update job_queue%'`,
        );
      await system.redis.client.lPush('bq:default:waiting', id);
      await until('a claim waits', async () => (await claims()).length > 0);
      const [{ pid } = assert.fail()] = await claims();
      await proxy.down();
      await proxy.up();
      await until(
        'the processor has looked for what it may have claimed',
        () => system.eventsNamed('queue.error').length > 0,
      );
      // Long enough for that look, which the row's lock does not hold up.
      const since = performance.now();
      await until('it has looked', () => performance.now() - since > 1000);
      assert.equal(
        (await claims()).some((claim) => claim.pid === pid),
        true,
        'the claim still waits',
      );
      await holder.query('commit');
      const looks = async () => {
        // Each later job makes it look.
        await NoteJob.performLater('later');
        return ran.includes('a');
      };
      await until('the job has run', looks, { everyMs: 500 });
    } finally {
      await holder.end();
      await system.stopProcessors();
      await database.stop(Deadline.after(1000));
      await proxy.down();
    }
  });
});
