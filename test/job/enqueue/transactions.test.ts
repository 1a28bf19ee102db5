import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { NoteJob, ran } from '../note-job';

describe('jobs that are enqueued in a transaction', () => {
  const system = useJobSystem({ empty: [ran] });

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
    await until('no hint is left', async () => (await system.redis.client.keys('bq:*')).length === 0);
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
});
