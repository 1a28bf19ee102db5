import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { useJobSystem } from './job-system';

const HOUR = 3_600_000;
const ran: string[] = [];
/** The dispatcher's statement that makes due jobs ready. */
const LOOK = /update job_queue set state = 'ready' where id in/;

class LaterJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a clock that jumps forward', () => {
  const system = useJobSystem();

  it('makes the dispatcher look for jobs that are now due, which no timer would do', async () => {
    let offsetMs = 0;
    // A check that is late by its interval is a standstill, which makes the dispatcher look, too.
    const clock = { wall: () => performance.now() + offsetMs, everyMs: 1000 };
    const rarely = { lookMs: HOUR, overdueMs: HOUR, upkeepMs: HOUR };
    await system.processor([LaterJob], { tuning: { dispatch: { clock, ...rarely } } });
    await transaction(() => LaterJob.performLater('it has begun'));
    await until('the first job has run', () => ran.length === 1);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
    const asked: string[] = [];
    system.database.knex.on('query', ({ sql }: { sql: string }) => asked.push(sql));
    await transaction(() => LaterJob.set({ wait: '1h' }).performLater('in an hour'));
    // The dispatcher is notified a moment after the commit: a look that came later would find the job due.
    await until('the dispatcher has looked because of it', () => {
      const told = asked.findIndex((sql) => /^select pg_notify\(\S+, \S+\)$/.test(sql));
      return told >= 0 && asked.slice(told).some((sql) => LOOK.test(sql));
    });
    const waits = `select 1 from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`;
    // The last statement of a look says when the next one is.
    await until(
      'the dispatcher is at rest',
      async () => asked.at(-1)?.startsWith('select ms::text') && (await system.postgres.query(waits)).length === 0,
    );
    // An hour passes for the dispatcher's clock, and for Postgres, whose clock the test cannot set: it changes the row instead.
    await system.postgres.query(`update job_queue set run_at = now() where run_at > now()`);
    asked.length = 0;
    offsetMs += HOUR;
    await until('the second job has run', () => ran.length === 2);
    const warnings = system.eventsNamed('process.warning').filter(({ message }) => /clock/.test(message));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]?.message ?? '', /^the clock was set forward by 3600 s, or the machine has slept/);
    // The fetcher, which may look for jobs that are ready at any time, does not find it.
    const looks = asked.filter((sql) => /job_queue/.test(sql) && !/set state = 'running'|limit_key as key/.test(sql));
    const [first = ''] = looks;
    assert.match(first, LOOK);
  });
});
