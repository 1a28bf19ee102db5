import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { JobSystem } from './job-system';

const ran: string[] = [];

class NoteJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}

class DurableNoteJob extends NoteJob {
  static override durable = true;
}

describe('the outbox', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    ran.length = 0;
  });

  const waiting = (queue = 'default') => system.redis.client.lLen(`bq:${queue}:waiting`);

  it('takes the jobs of a transaction, and gives them out in order once it commits', async () => {
    await system.processor([NoteJob]);
    await transaction(async () => {
      for (const note of ['a', 'b', 'c']) await NoteJob.performLater(note);
      assert.equal(await waiting(), 0);
      assert.equal(await system.outboxSize(), 0, 'another connection sees nothing yet');
    });
    await until('all ran', () => ran.length === 3);
    assert.deepEqual(ran, ['a', 'b', 'c']);
    await until('the rows are gone', async () => (await system.outboxSize()) === 0);
    await until('redis has forgotten them', async () => (await system.redis.client.zCard('bq:default:finished')) === 0);
    assert.equal(await system.redis.client.hLen('bq:default:jobs'), 0);
  });

  it('keeps nothing of a transaction that rolls back, nor of a savepoint', async () => {
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
    await until('the outer job ran', () => ran.length > 0);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
    assert.deepEqual(ran, ['kept']);
  });

  it('takes a transaction given by hand', async () => {
    const trx = await system.database.knex.transaction();
    await NoteJob.set({ trx }).performLater('by hand');
    await trx.rollback();
    assert.equal(await system.outboxSize(), 0);
    assert.equal(await waiting(), 0);
  });

  it('is passed by outside a transaction, but for durable jobs and later ones', async () => {
    await NoteJob.performLater('straight');
    assert.equal(await waiting(), 1);
    assert.equal(await system.outboxSize(), 0);
    await DurableNoteJob.performLater('durable');
    await NoteJob.set({ wait: '1h' }).performLater('later');
    assert.equal(await waiting(), 1);
    assert.equal(await system.outboxSize(), 2);
    assert.deepEqual(
      system.eventsNamed('job.enqueued').map((event) => event.via),
      ['redis', 'outbox', 'outbox'],
    );
  });

  it('keeps jobs for as late a time as can be given', async () => {
    await NoteJob.set({ wait: '36525d' }).performLater('in a century');
    await NoteJob.set({ waitUntil: new Date('9999-12-30T00:00:00Z') }).performLater('in the end');
    const rows = await system.postgres.query<{ year: number }>(
      'select extract(year from run_at)::int as year from job_outbox order by run_at',
    );
    assert.deepEqual([(rows[0]?.year ?? 0) > 2100, rows[1]?.year], [true, 9999]);
  });

  it('holds a job until it is due, not much longer', async () => {
    await system.processor([NoteJob]);
    const before = performance.now();
    await NoteJob.set({ wait: 400 }).performLater('in a while');
    await until('it ran', () => ran.length === 1);
    const late = performance.now() - before - 400;
    assert.ok(late >= 0, `ran ${-late} ms early`);
    assert.ok(late < 1000, `ran ${late} ms late: not woken by its own time, but by the poll`);
  });

  it('copies thousands, and cleans up', async () => {
    await system.postgres.query(`
      insert into job_outbox (id, queue, class, payload)
      select gen_random_uuid(), 'mailer', 'NoteJob', format('{"v":1,"class":"NoteJob","args":["%s"],"via":"outbox"}', n)
      from generate_series(1, 3000) n`);
    await system.processor([NoteJob], { jobs: { concurrency: 10 } });
    await until('all ran', () => ran.length === 3000);
    assert.equal(new Set(ran).size, 3000);
    await until('the rows are gone', async () => (await system.outboxSize()) === 0);
  });

  it('finishes what a processor that died left unsettled', async () => {
    const { id } = await transaction(() => NoteJob.performLater('done by a dead one'));
    await system.postgres.query('update job_outbox set dispatched_at = now()');
    await system.redis.client.zAdd('bq:default:finished', [
      { score: 1, value: id },
      { score: 1, value: 'not-a-uuid' },
    ]);
    await system.processor([NoteJob]);
    await until('the row is gone', async () => (await system.outboxSize()) === 0);
    await until('redis has forgotten it', async () => (await system.redis.client.zCard('bq:default:finished')) === 0);
    assert.deepEqual(ran, []);
  });

  it('is shared by two processors, each job run by one of them', async () => {
    await system.processor([NoteJob]);
    await system.processor([NoteJob]);
    const notes = Array.from({ length: 200 }, (_, n) => String(n));
    await Promise.all(notes.map((note) => transaction(() => NoteJob.performLater(note))));
    await until('all ran', () => new Set(ran).size === 200);
    await until('the rows are gone', async () => (await system.outboxSize()) === 0);
    assert.equal(ran.length, 200);
  });
});
