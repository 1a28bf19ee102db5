import assert from 'node:assert/strict';
import { Batch } from '../../../lib/job/batch';
import { Job } from '../../../lib/job/job';
import { inSuite } from '../../support/suite';
import { useJobSystem } from '../job-system';
import { CommandLine } from './command-line';

class PartJob extends Job {
  perform(): void {}
}

describe('jobs batch', () => {
  const system = useJobSystem();
  const commandLine = inSuite(undefined, () => new CommandLine(system, [PartJob], { via: 'cli:ada' }));
  const create = () =>
    Batch.create({ description: 'import of May' }, async (batch) => {
      await batch.add(PartJob.prepare(), PartJob.prepare());
    });
  const killOne = () =>
    system.postgres.query(
      `with gone as (delete from job_queue where id = (select id from job_queue limit 1) returning *)
       insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, batch_id)
       select id, queue, class, payload, 'Error', 1, tags, '', '', batch_id from gone`,
    );

  it('lists and shows batches, and its id selects jobs', async () => {
    assert.match((await commandLine.run(['batch', 'list'])).text, /no batches/);
    const { id } = await create();
    await killOne();
    const { text, json } = await commandLine.run(['batch', 'list']);
    assert.match(text, new RegExp(`${id} +running +2 +1 +1 .*import of May`));
    assert.equal((json as { batches: { id: string }[] }).batches[0]?.id, id);
    assert.match((await commandLine.run(['batch', 'show', id])).text, /dead +1/);
    const listed = await commandLine.run(['list', 'dead', '--batch', id]);
    assert.equal((listed.json as { total: number }).total, 1);
    const { ok, notes } = await commandLine.run(['batch', 'show', '00000000-0000-4000-8000-000000000000']);
    assert.equal(ok, false);
    assert.match(String(notes), /There is no batch 0/);
  });

  it('retries what is dead, cancels after a question, and refuses what has ended', async () => {
    const { id } = await create();
    await killOne();
    assert.deepEqual((await commandLine.run(['batch', 'retry', id])).json, { id, retried: 1 });
    await assert.rejects(commandLine.run(['batch', 'cancel', id]), /cancel the batch with 2 jobs: add --yes/);
    const answer = await commandLine.run(['batch', 'cancel', id, '--yes', '--reason', 'for Ada']);
    assert.deepEqual(answer.json, { id, cancelled: 2, requested: 0 });
    assert.equal(await system.jobCount(), 0);
    await assert.rejects(commandLine.run(['batch', 'retry', id]), /has ended: it is cancelled/);
    assert.deepEqual(
      system.eventsNamed('operator.jobs').map(({ action, count, via }) => [action, count, via]),
      [
        ['retry', 1, 'cli:ada'],
        ['cancel', 2, 'cli:ada'],
      ],
    );
  });

  it('seals one that was not filled to its end', async () => {
    const { id } = await create();
    await system.postgres.query('update job_batches set sealed_at = null');
    assert.match((await commandLine.run(['batch', 'list'])).text, /filling/);
    await commandLine.run(['batch', 'seal', id]);
    assert.match((await commandLine.run(['batch', 'list'])).text, /running/);
  });
});
