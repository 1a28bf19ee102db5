import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { JobSystem } from './job-system';

const ran: string[] = [];
/** The relay's statement that claims due rows. */
const LOOK = /update job_outbox set dispatched_at = clock_timestamp/;

class LaterJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a clock that jumps forward', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());

  it('makes the relay look for rows that are now due, which no timer would do', async () => {
    let offsetMs = 0;
    const clock = { wall: () => performance.now() + offsetMs, everyMs: 10 };
    await system.processor([LaterJob], { tuning: { outbox: { clock } } });
    await transaction(() => LaterJob.performLater('it has begun'));
    await until('the first job has run', () => ran.length === 1);
    // Its row is deleted a moment after it has run: that statement must not be mistaken for a look of the relay.
    await until('its row is gone', async () => (await system.jobCount()) === 0);
    const asked: string[] = [];
    system.database.knex.on('query', ({ sql }: { sql: string }) => asked.push(sql));
    await transaction(() => LaterJob.set({ wait: '1h' }).performLater('in an hour'));
    // The relay is notified of the row a moment after the commit: a look that came later would find it due.
    await until('the relay has looked because of it', () => {
      const told = asked.findIndex((sql) => /^select pg_notify\(\S+, ''\)$/.test(sql));
      return told >= 0 && asked.slice(told).some((sql) => LOOK.test(sql));
    });
    const waits = `select 1 from pg_stat_activity where datname = current_database() and state like 'idle in%'`;
    await until('the relay is at rest', async () => (await system.postgres.query(waits)).length === 0);
    // An hour passes for the relay's clock, and for Postgres, whose clock the test cannot set: it changes the row instead.
    await system.postgres.query(`update job_outbox set run_at = now() where run_at > now()`);
    asked.length = 0;
    offsetMs += 3_600_000;
    await until('the second job has run', () => ran.length === 2);
    const warnings = system.eventsNamed('process.warning').filter(({ message }) => /clock/.test(message));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]?.message ?? '', /^the clock was set forward by 3600 s, or the machine has slept/);
    // A poll would first ask when the next row is due.
    const [first = ''] = asked.filter((sql) => /job_outbox/.test(sql));
    assert.match(first, LOOK);
  });
});
