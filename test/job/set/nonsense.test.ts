import assert from 'node:assert/strict';
import { readProcessInfo } from '../../../lib/job/pulse/process-info';
import { JobSets } from '../../../lib/job/set/job-sets';
import { JobSystem } from '../job-system';
import { setSources } from './set-sources';
import { store } from './stored-job';

/** Found by fuzzers: each kept a whole page from its readers. */
describe('what others have written into Redis', () => {
  let system: JobSystem;
  let sets: JobSets;
  before(async () => {
    system = await JobSystem.start();
    sets = new JobSets(setSources(system));
  });
  after(() => system.stop());

  it('a time that is no date is none', async () => {
    const { client } = system.redis;
    await store(client, 'dead', { id: 'late', at: 9e15, timestamp: -1 });
    await store(client, 'delayed', { id: 'later', at: 9e15 });
    await store(client, 'delayed', { id: 'never', at: Number.POSITIVE_INFINITY, timestamp: 5 });
    const [dead] = (await sets.dead.page()).entries;
    assert.deepEqual([dead?.id, dead?.at], ['late', undefined]);
    const scheduled = (await sets.scheduled.page()).entries.map(({ id, at }) => [id, at?.getTime()]);
    assert.deepEqual(scheduled, [
      ['later', 1_700_000_000_000],
      ['never', 5],
    ]);
  });

  it('an id that Postgres cannot hold is left out of what is merged with its rows', async () => {
    await store(system.redis.client, 'delayed', { id: 'a\0b', at: 1 });
    assert.ok((await sets.scheduled.page()).entries.every(({ id }) => !id.includes('\0')));
  });

  it('what a processor tells of itself counts where it makes sense', () => {
    const told = { identity: 'x', queues: ['default'], pid: 'seven', busy: [{ id: 1 }], host: 'vm', startedAt: 9e15 };
    const { pid, busy, host, startedAt } = readProcessInfo(JSON.stringify(told)) ?? assert.fail();
    assert.deepEqual({ pid, busy, host, startedAt }, { pid: 0, busy: [], host: 'vm', startedAt: 0 });
    for (const text of ['null', '7', '{"identity":7,"queues":[]}', '{"identity":"x","queues":[7]}', '{']) {
      assert.equal(readProcessInfo(text), undefined);
    }
  });
});
