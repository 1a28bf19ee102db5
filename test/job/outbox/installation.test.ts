import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Typist } from '../cli/typist';
import { sleptSince2023 } from '../cron/cron-stage';
import { useJobSystem } from '../job-system';

const ELSEWHERE = '7a1c2f0e-6a52-4c1a-9b1e-0d6f5c3b2a19';
const KEY = 'catamount:installation';
const ran: string[] = [];

class NoteJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a database that was copied from another installation', () => {
  const system = useJobSystem(async () => {
    await system.postgres.query('truncate job_installation, job_cron');
    ran.length = 0;
  });

  const processor = () => system.processor([NoteJob], { tuning: { outbox: { pollMs: 20 } } });
  const beforeForeignRedis = async () => {
    await system.redis.client.set(KEY, ELSEWHERE);
    await system.postgres.query('insert into job_installation (id) values (gen_random_uuid())');
  };
  const foreign = () => system.eventsNamed('installation.foreign');

  it('dispatches nothing, and says so once, until somebody adopts it', async () => {
    await beforeForeignRedis();
    await transaction(() => NoteJob.performLater('brought along'));
    await processor();
    await until('the foreign database is reported', () => foreign().length === 1);
    // A job that bypasses the outbox cannot be part of the copy.
    await NoteJob.performLater('straight');
    await until('the direct job has run', () => ran.length === 1);
    assert.deepEqual(ran, ['straight']);
    const typist = new Typist(system, [NoteJob], { via: 'cli:ada' });
    assert.equal((await typist.type('adopt --yes')).json.adopted, true);
    await until('the rest runs', () => ran.length === 2);
    assert.deepEqual(ran, ['straight', 'brought along']);
    assert.equal(foreign().length, 1);
    assert.equal((await typist.type('adopt --yes')).json.adopted, false);
  });

  it('enqueues no recurring job until somebody adopts it', async () => {
    class YearlyJob extends NoteJob {
      static override jobName = 'YearlyJob';
      static override readonly cron = { at: '@yearly', catchUp: 'once', args: ['due'] } as const;
    }
    await sleptSince2023(system, YearlyJob);
    await beforeForeignRedis();
    await system.processor([NoteJob, YearlyJob], { tuning: { outbox: { pollMs: 20 }, cron: { pollMs: 20 } } });
    await until('the foreign database is reported', () => foreign().length === 1);
    // Each of these takes longer than the interval at which due ticks are looked for.
    for (let n = 1; n <= 20; n++) {
      await NoteJob.performLater(String(n));
      await until('the job is running', () => ran.length === n);
    }
    assert.deepEqual(system.eventsNamed('cron.enqueued'), []);
    assert.equal(await system.outboxSize(), 0);
    await new Typist(system, [NoteJob, YearlyJob], { via: 'cli:ada' }).type('adopt --yes');
    await until('the tick that was missed runs', () => ran.includes('due'));
  });

  it('enqueues no recurring job before Redis has said to which installation it belongs', async () => {
    class YearlyJob extends NoteJob {
      static override jobName = 'YearlyJob';
      static override readonly cron = { at: '@yearly', catchUp: 'once', args: ['due'] } as const;
    }
    await sleptSince2023(system, YearlyJob);
    await beforeForeignRedis();
    await system.redisServer.stop();
    await system.processor([YearlyJob], { tuning: { outbox: { pollMs: 20 }, cron: { pollMs: 20 } } });
    await until('the loss of Redis is reported', () => system.eventsNamed('redis.lost').length > 0);
    await system.redisServer.start();
    await until('the foreign database is reported', () => foreign().length === 1);
    assert.deepEqual(system.eventsNamed('cron.enqueued'), []);
  });

  it('dispatches nothing even if it replaces the original under a running processor', async () => {
    await processor();
    await transaction(() => NoteJob.performLater('ours'));
    await until('the job is running', () => ran.length === 1);
    // Like a dump that is restored in one transaction.
    await transaction(async (trx) => {
      await trx.raw('update job_installation set id = ?::uuid', [ELSEWHERE]);
      await NoteJob.performLater('brought along');
    });
    await until('the foreign database is reported', () => foreign().length === 1);
    await NoteJob.performLater('straight');
    await until('the direct job has run', () => ran.length === 2);
    assert.deepEqual(ran, ['ours', 'straight']);
  });

  it('is recognized only by a Redis of another installation: an emptied Redis, or an empty table, takes the id of the other store', async () => {
    await processor();
    await transaction(() => NoteJob.performLater('first'));
    await until('the job is running', () => ran.length === 1);
    const id = await system.redis.client.get(KEY);
    await system.redis.client.flushAll();
    await until('Redis has the same id again', async () => (await system.redis.client.get(KEY)) === id);
    await system.postgres.query('truncate job_installation');
    await until('Postgres has the same id again', async () => {
      const [row] = await system.postgres.query<{ id: string }>('select id::text from job_installation');
      return row?.id === id;
    });
    await transaction(() => NoteJob.performLater('second'));
    await until('the job is running', () => ran.length === 2);
    assert.deepEqual(foreign(), []);
  });
});
