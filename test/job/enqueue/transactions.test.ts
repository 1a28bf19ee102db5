import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const ran: string[] = [];

class NoteJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}

describe('jobs that are enqueued in a transaction', () => {
  const system = useJobSystem(() => {
    ran.length = 0;
  });

  const hints = () => system.redis.client.lLen('bq:default:waiting');

  it('are committed with it, and run in order as soon as it commits', async () => {
    await system.processor([NoteJob]);
    await transaction(async () => {
      for (const note of ['a', 'b', 'c']) await NoteJob.performLater(note);
      assert.equal(await hints(), 0);
      assert.equal(await system.jobCount(), 0, 'another connection sees nothing yet');
    });
    await until('all jobs have run', () => ran.length === 3);
    assert.deepEqual(ran, ['a', 'b', 'c']);
    await until('their rows are gone', async () => (await system.jobCount()) === 0);
    assert.deepEqual(await system.redis.client.keys('bq:*'), []);
  });

  it('are none when the transaction, or a savepoint in it, is rolled back', async () => {
    await system.processor([NoteJob]);
    await assert.rejects(
      transaction(async () => {
        await NoteJob.performLater('never');
        throw new Error('roll back');
      }),
      /roll back/,
    );
    await transaction(async () => {
      await NoteJob.performLater('kept');
      await transaction(async () => {
        await NoteJob.performLater('never either');
        throw new Error('inner');
      }).catch(() => undefined);
    });
    await until('the outer job has run', () => ran.length > 0);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
    assert.deepEqual(ran, ['kept']);
  });

  it('belong to a transaction that is passed with set()', async () => {
    const trx = await system.database.knex.transaction();
    await NoteJob.set({ trx }).performLater('by hand');
    await trx.rollback();
    assert.equal(await system.jobCount(), 0);
    assert.equal(await hints(), 0);
  });

  it('are rows like those outside a transaction, whose ids are all that Redis gets', async () => {
    const { id } = await NoteJob.performLater('outside');
    await until('there is a hint', async () => (await hints()) === 1);
    assert.deepEqual(await system.redis.client.keys('*'), ['bq:default:waiting']);
    assert.deepEqual(await system.redis.client.lRange('bq:default:waiting', 0, -1), [id]);
    await NoteJob.set({ wait: '1h' }).performLater('later');
    assert.equal(await system.jobCount(), 2);
    assert.equal(await hints(), 1, 'a scheduled job is not hinted at');
  });

  it('may be given the latest times', async () => {
    await NoteJob.set({ wait: '36525d' }).performLater('in a century');
    await NoteJob.set({ waitUntil: new Date('9999-12-30T00:00:00Z') }).performLater('in the end');
    const rows = await system.postgres.query<{ year: number }>(
      'select extract(year from run_at)::int as year from job_queue order by run_at',
    );
    assert.deepEqual([(rows[0]?.year ?? 0) > 2100, rows[1]?.year], [true, 9999]);
  });

  it('run when they are due, without a poll', async () => {
    const answers: unknown[] = [];
    class DueJob extends Job {
      async perform(): Promise<void> {
        answers.push(...(await system.postgres.query('select run_at <= clock_timestamp() as due from job_queue')));
      }
    }
    await system.processor([DueJob], { tuning: { dispatch: { lookMs: 3_600_000 } } });
    await DueJob.set({ wait: 300 }).performLater();
    await until('the job has run', () => answers.length > 0);
    assert.deepEqual(answers, [{ due: true }]);
  });

  it('are shared by two processors, and each runs once', async () => {
    await system.processor([NoteJob]);
    await system.processor([NoteJob]);
    const notes = Array.from({ length: 100 }, (_, n) => String(n));
    await Promise.all(notes.map((note) => transaction(() => NoteJob.performLater(note))));
    await until('all jobs have run', () => new Set(ran).size === 100);
    await until('the rows are gone', async () => (await system.jobCount()) === 0);
    assert.equal(ran.length, 100);
  });

  it('that have ended stay ended, although Postgres refuses to record that for a while', async () => {
    await system.postgres.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$`);
    await system.postgres.query('create trigger refuse before delete on job_queue execute function refuse()');
    try {
      await system.processor([NoteJob]);
      await NoteJob.performLater('ended meanwhile');
      await until('a delete was refused', () => system.eventsNamed('queue.error').length > 0);
      await system.redis.client.flushAll();
    } finally {
      await system.postgres.query('drop function refuse cascade');
    }
    await NoteJob.performLater('later');
    await until('both rows are gone', async () => (await system.jobCount()) === 0);
    assert.deepEqual(ran, ['ended meanwhile', 'later']);
  });
});
