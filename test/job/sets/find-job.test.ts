import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Job } from '../../../lib/job/job';
import { InvalidRequestError } from '../../../lib/job/sets/query';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from './set-sources';
import { store, storeDead } from './stored-job';

let release: (() => void) | undefined;

class HeldUpJob extends Job<[name: string]> {
  static override concurrency = 1;
  static override tags = ['slow'];

  async perform(_name: string): Promise<void> {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
  }
}

describe('finding a job', () => {
  let sets: Sets;
  const system = useJobSystem();
  before(() => {
    sets = setsOf(setSources(system));
  });

  const placeOf = async (id: string) => (await sets.find(id)).place;

  it('follows it from its commit through its run to its end, and when it is held', async () => {
    const [{ id }, { id: second }] = await transaction(
      async () => [await HeldUpJob.performLater('a'), await HeldUpJob.performLater('b')] as const,
    );
    const { place, entry, ahead } = await sets.find(id);
    assert.deepEqual([place, entry?.class, entry?.args, ahead], ['waiting', 'HeldUpJob', ['a'], 0]);
    assert.deepEqual(entry?.tags, ['slow']);
    await system.processor([HeldUpJob]);
    await until('the first job is running', async () => (await placeOf(id)) === 'active');
    await until('the second job is held', async () => (await placeOf(second)) === 'blocked');
    await until('the first job has begun', () => release !== undefined);
    release?.();
    await until('the first job has ended', async () => (await placeOf(id)) === 'gone');
    await until('the second job is running', async () => (await placeOf(second)) === 'active');
    release?.();
    await until('both rows are gone', async () => (await system.jobCount()) === 0);
  });

  it('says how many jobs are ahead of it', async () => {
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    for (const [index, id] of ids.entries()) await store(system.database.knex, 'ready', { id, at: 1000 * index });
    await store(system.database.knex, 'ready', { queue: 'mailer', at: 1 });
    const ahead = await Promise.all(ids.map(async (id) => (await sets.find(id)).ahead));
    assert.deepEqual(ahead, [0, 1, 2]);
  });

  it('shows a payload that makes no sense as it is', async () => {
    const broken = await storeDead(system.database.knex, { payload: '{"x":1}' });
    const { place, entry } = await sets.find(broken);
    assert.deepEqual([place, entry?.unreadable, entry?.raw], ['dead', 'the payload names no job class', '{"x":1}']);
    const other = await store(system.database.knex, 'scheduled', { payload: '[]' });
    assert.equal((await sets.find(other)).entry?.unreadable, 'the payload names no job class');
  });

  it('rejects an invalid id, queue or time', async () => {
    for (const id of ['', 'a b', 'x'.repeat(101), 7 as never, undefined as never]) {
      await assert.rejects(
        sets.find(id),
        (error) => error instanceof InvalidRequestError && /the job id is .*; give one such as/.test(error.message),
      );
      await assert.rejects(isMoved(sets.dead.runMany('retry', { ids: [id] })), InvalidRequestError);
      await assert.rejects(sets.scheduled.deleteMany({ ids: [id] }), InvalidRequestError);
    }
    await assert.rejects(sets.find({ id: randomUUID(), queue: 'b c' }), /the queue is "b c"/);
    for (const at of [new Date(Number.NaN), 'tomorrow' as never]) {
      await assert.rejects(sets.retry.rescheduleMany({ ids: [randomUUID()] }, at), /the time is .*; give a valid date/);
    }
  });
});
