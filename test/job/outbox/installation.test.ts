import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Typist } from '../command/typist';
import { JobSystem } from '../job-system';

const ELSEWHERE = '7a1c2f0e-6a52-4c1a-9b1e-0d6f5c3b2a19';
const KEY = 'catamount:installation';
const ran: string[] = [];

class NoteJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a database that was copied from another installation', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    await system.postgres.query('truncate job_installation');
    ran.length = 0;
  });

  const processor = () => system.processor([NoteJob], { tuning: { outbox: { pollMs: 20 } } });
  const foreign = () => system.eventsNamed('installation.foreign');

  it('dispatches nothing, and says so once, until somebody adopts it', async () => {
    await system.redis.client.set(KEY, ELSEWHERE);
    await system.postgres.query('insert into job_installation (id) values (gen_random_uuid())');
    await transaction(() => NoteJob.performLater('brought along'));
    await processor();
    await until('it is told of', () => foreign().length === 1);
    // What goes straight to Redis was never in the copy.
    await NoteJob.performLater('straight');
    await until('that runs', () => ran.length === 1);
    assert.deepEqual(ran, ['straight']);
    const typist = new Typist(system, [NoteJob], { via: 'cli (ada)' });
    assert.equal((await typist.type('adopt --yes')).json.adopted, true);
    await until('the rest runs', () => ran.length === 2);
    assert.deepEqual(ran, ['straight', 'brought along']);
    assert.equal(foreign().length, 1);
    assert.equal((await typist.type('adopt --yes')).json.adopted, false);
  });

  it('is one only beside a Redis that is of another: an emptied Redis, or a new database, joins the other side', async () => {
    await processor();
    await transaction(() => NoteJob.performLater('first'));
    await until('it runs', () => ran.length === 1);
    const id = await system.redis.client.get(KEY);
    await system.redis.client.flushAll();
    await until('Redis has the same id again', async () => (await system.redis.client.get(KEY)) === id);
    await system.postgres.query('truncate job_installation');
    await until('Postgres too', async () => {
      const [row] = await system.postgres.query<{ id: string }>('select id::text from job_installation');
      return row?.id === id;
    });
    await transaction(() => NoteJob.performLater('second'));
    await until('it runs', () => ran.length === 2);
    assert.deepEqual(foreign(), []);
  });
});
