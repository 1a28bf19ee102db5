import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { until } from '../support/until';
import { useJobSystem } from './job-system';

const HOUR = 3_600_000;
const ran: string[] = [];

class LaterJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a clock that jumps forward', () => {
  const system = useJobSystem();

  it('makes the dispatcher look for jobs that are now due, which no timer would do', async () => {
    let offsetMs = 0;
    // So rarely that no standstill of the test itself makes it look.
    const clock = { wall: () => performance.now() + offsetMs, everyMs: 1000 };
    const dispatch = { clock, lookMs: HOUR, overdueMs: HOUR };
    const processor = await system.processor([LaterJob], { tuning: { dispatch } });
    const asked: string[] = [];
    system.database.knex.on('query', ({ sql }: { sql: string }) => asked.push(sql));
    const rests = () => processor.listening && processor.progress.dispatch?.owedMs === 0;
    await until('its first looks are over', rests);
    asked.length = 0;
    await LaterJob.set({ wait: '1h' }).performLater('in an hour');
    // The dispatcher is notified a moment after the commit: a look that came later would find the job due.
    await until('it has looked because of the job', () => {
      const told = asked.findIndex((sql) => /^select pg_notify\(\S+, \S+\)$/.test(sql));
      return told >= 0 && asked.slice(told).some((sql) => /^select ms::text/.test(sql)) && rests();
    });
    // An hour passes for the dispatcher's clock, and for Postgres, whose clock the test cannot set: it changes the row instead.
    await system.postgres.query('update job_queue set run_at = now()');
    offsetMs += HOUR;
    await until('the job has run', () => ran.length === 1);
    const jumps = () => system.eventsNamed('clock.set');
    const { ms } = await until('the jump is told', () => jumps()[0]);
    assert.equal(Math.round(ms / 1000), 3600);
    assert.equal(jumps().length, 1);
  });
});
