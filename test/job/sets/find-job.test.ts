import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { InvalidRequestError } from '../../../lib/job/sets/query';
import { inSuite } from '../../support/suite';
import { useJobSystem } from '../job-system';
import { isMoved, setSources, setsOf } from './set-sources';
import { store, storeDead } from './stored-job';

describe('finding a job', () => {
  const system = useJobSystem();
  const sets = inSuite(undefined, () => setsOf(setSources(system)));

  it('says how many jobs are ahead of it', async () => {
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    for (const [index, id] of ids.entries()) await store(system.database.knex, 'ready', { id, at: 1000 * index });
    await store(system.database.knex, 'ready', { queue: 'mailer', at: 1 });
    const ahead = await Promise.all(ids.map(async (id) => (await sets.find(id)).ahead));
    assert.deepEqual(ahead, [0, 1, 2]);
  });

  it('finds a job that moves from place to place', async () => {
    const id = await store(system.database.knex, 'ready', {});
    let isFound = true;
    const places = ['scheduled', 'ready', 'held'];
    const moving = (async () => {
      for (let n = 0; isFound && n < 2000; n++)
        await system.postgres.query('update job_queue set state = $1 where id = $2', [places[n % 3], id]);
    })();
    for (let n = 0; isFound && n < 300; n++) isFound = (await sets.find(id)).entry?.id === id;
    const wasFound = isFound;
    isFound = false;
    await moving;
    assert.ok(wasFound);
  });

  it('shows a payload that makes no sense as it is', async () => {
    const broken = await storeDead(system.database.knex, { payload: '{"x":1}' });
    const { place, entry } = await sets.find(broken);
    assert.deepEqual([place, entry?.unreadable, entry?.raw], ['dead', 'the payload names no job class', '{"x":1}']);
    const other = await store(system.database.knex, 'scheduled', { payload: '[]' });
    assert.equal((await sets.find(other)).entry?.unreadable, 'the payload names no job class');
  });

  it('rejects an invalid id or queue', async () => {
    for (const id of ['', 'a b', 'x'.repeat(101), 7 as never, undefined as never]) {
      await assert.rejects(
        sets.find(id),
        (error) => error instanceof InvalidRequestError && /the job id is .*; give one such as/.test(error.message),
      );
      await assert.rejects(isMoved(sets.dead.move('retry', { ids: [id] })), InvalidRequestError);
      await assert.rejects(sets.scheduled.move('delete', { ids: [id] }), InvalidRequestError);
    }
    await assert.rejects(sets.find({ id: randomUUID(), queue: 'b c' }), /the queue is "b c"/);
  });
});
