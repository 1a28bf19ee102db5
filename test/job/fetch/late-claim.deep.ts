import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { TcpProxy } from '../../support/tcp-proxy';
import { until } from '../../support/until';
import { HELD_UP, holdUp } from '../hold-up';
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
    const { id } = await NoteJob.performLater('a');
    const goOn = await holdUp(system.postgres, 'claim', id);
    try {
      await system.processor([NoteJob], {
        database,
        databaseDirectUrl: system.postgres.url,
        tuning: { dispatch: { lookMs: HOUR, overdueMs: HOUR } },
      });
      const claims = async () => system.postgres.query<{ pid: number }>(HELD_UP);
      await until('a claim waits', async () => (await claims()).length > 0);
      const [{ pid } = assert.fail()] = await claims();
      await proxy.down();
      await proxy.up();
      await until(
        'the processor has looked for what it may have claimed',
        () => system.eventsNamed('queue.error').length > 0,
      );
      // Long enough for that look, which the claim does not hold up.
      const since = performance.now();
      await until('it has looked', () => performance.now() - since > 1000);
      assert.equal(
        (await claims()).some((claim) => claim.pid === pid),
        true,
        'the claim still waits',
      );
      await goOn();
      const looks = async () => {
        // Each later job makes it look.
        await NoteJob.performLater('later');
        return ran.includes('a');
      };
      await until('the job has run', looks, { everyMs: 500 });
    } finally {
      await system.stopProcessors();
      await database.stop(Deadline.after(1000));
      await proxy.down();
    }
  });
});
