import assert from 'node:assert/strict';
import { transaction } from '../../../lib/model/transaction';
import { deferred } from '../../../lib/support/deferred';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { NoteJob, ran } from '../note-job';

describe('a job that is enqueued by work that transaction() did not wait for', () => {
  const system = useJobSystem({ empty: [ran] });

  it('is rejected after a rollback, and does not run', async () => {
    const rolledBack = deferred();
    let late: Promise<unknown> = Promise.resolve();
    const work = transaction(async (trx) => {
      await trx.raw('select 1');
      late = rolledBack.promise.then(() => NoteJob.performLater('never'));
      throw new Error('taken back');
    });
    await assert.rejects(work, /taken back/);
    rolledBack.resolve();
    await assert.rejects(late, /NoteJob\.performLater was called in a transaction that has been rolled back.*await/);
    await system.processor([NoteJob]);
    await NoteJob.performLater('behind');
    await until('a later job has run', () => ran.length > 0);
    assert.deepEqual(ran, ['behind']);
  });

  it('is enqueued at once after the commit, which is logged once for each class', async () => {
    await system.processor([NoteJob]);
    for (const name of ['a', 'b']) {
      const committed = deferred();
      let late: Promise<unknown> = Promise.resolve();
      await transaction(async (trx) => {
        await trx.raw('select 1');
        late = committed.promise.then(() => NoteJob.performLater(name));
      });
      committed.resolve();
      await late;
    }
    await until('both jobs have run', () => ran.length === 2);
    assert.deepEqual(system.eventsNamed('job.left-transaction'), [{ class: 'NoteJob' }]);
  });
});
