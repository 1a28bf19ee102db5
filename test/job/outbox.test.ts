import assert from 'node:assert/strict';
import pg from 'pg';
import { TABLES } from '../../lib/core/config';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { useJobSystem } from './job-system';

const HOUR = 3_600_000;
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
  const system = useJobSystem(() => {
    ran.length = 0;
  });

  const waiting = (queue = 'default') => system.redis.client.lLen(`bq:${queue}:waiting`);

  it('holds the jobs of a transaction, and dispatches them in order as soon as it commits', async () => {
    await system.processor([NoteJob], { tuning: { outbox: { pollMs: HOUR } } });
    await transaction(async () => {
      for (const note of ['a', 'b', 'c']) await NoteJob.performLater(note);
      assert.equal(await waiting(), 0);
      assert.equal(await system.outboxSize(), 0, 'another connection sees nothing yet');
    });
    await until('all jobs have run', () => ran.length === 3);
    assert.deepEqual(ran, ['a', 'b', 'c']);
    await until('the rows are gone', async () => (await system.outboxSize()) === 0);
    await until('Redis has forgotten them', async () => (await system.redis.client.zCard('bq:default:ended')) === 0);
    assert.equal(await system.redis.client.hLen('bq:default:jobs'), 0);
  });

  it('notifies all relays when a transaction commits', async () => {
    const relay = new pg.Client(system.database.url);
    await relay.connect();
    try {
      let told = 0;
      relay.on('notification', () => told++);
      await relay.query(`LISTEN ${TABLES.channel}`);
      await transaction(() => NoteJob.performLater('first'));
      await until('the notification has come', () => told > 0);
    } finally {
      await relay.end();
    }
  });

  it('keeps no job of a transaction or a savepoint that is rolled back', async () => {
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
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
    assert.deepEqual(ran, ['kept']);
  });

  it('enqueues in a transaction that is passed with set()', async () => {
    const trx = await system.database.knex.transaction();
    await NoteJob.set({ trx }).performLater('by hand');
    await trx.rollback();
    assert.equal(await system.outboxSize(), 0);
    assert.equal(await waiting(), 0);
  });

  it('is bypassed outside a transaction, except by durable and scheduled jobs', async () => {
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

  it('accepts the latest times that may be given', async () => {
    await NoteJob.set({ wait: '36525d' }).performLater('in a century');
    await NoteJob.set({ waitUntil: new Date('9999-12-30T00:00:00Z') }).performLater('in the end');
    const rows = await system.postgres.query<{ year: number }>(
      'select extract(year from run_at)::int as year from job_outbox order by run_at',
    );
    assert.deepEqual([(rows[0]?.year ?? 0) > 2100, rows[1]?.year], [true, 9999]);
  });

  it('holds a job until it is due, and dispatches it then without a poll', async () => {
    const answers: unknown[] = [];
    class DueJob extends Job {
      async perform(): Promise<void> {
        const due = 'select run_at <= clock_timestamp() as due from job_outbox';
        answers.push(...(await system.postgres.query(due)));
      }
    }
    // The next poll is an hour away.
    await system.processor([DueJob], { tuning: { outbox: { pollMs: HOUR } } });
    await DueJob.set({ wait: 300 }).performLater();
    await until('the job has run', () => answers.length > 0);
    assert.deepEqual(answers, [{ due: true }]);
  });

  it('is shared by two processors, and each job runs once', async () => {
    await system.processor([NoteJob]);
    await system.processor([NoteJob]);
    const notes = Array.from({ length: 100 }, (_, n) => String(n));
    await Promise.all(notes.map((note) => transaction(() => NoteJob.performLater(note))));
    await until('all jobs have run', () => new Set(ran).size === 100);
    await until('the rows are gone', async () => (await system.outboxSize()) === 0);
    assert.equal(ran.length, 100);
  });

  describe('while Postgres refuses to delete rows', () => {
    before(() =>
      system.postgres.query(`
        create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$`),
    );
    beforeEach(() =>
      system.postgres.query('create trigger refuse before delete on job_outbox execute function refuse()'),
    );
    const recover = () => system.postgres.query('drop trigger if exists refuse on job_outbox');
    afterEach(recover);
    const refused = () =>
      until('a delete was refused', () =>
        system.eventsNamed('queue.error').some(({ during }) => during === 'recording the outcomes of jobs in Postgres'),
      );

    it('remembers which jobs have ended, even if Redis forgets them', async () => {
      await system.processor([NoteJob, DurableNoteJob], { tuning: { outbox: { sweepMs: HOUR, routineMs: HOUR } } });
      await DurableNoteJob.performLater('ended meanwhile');
      await refused();
      await system.redis.client.del('bq:default:ended');
      await recover();
      const { id } = await DurableNoteJob.performLater('later');
      const row = () => system.postgres.query('select 1 from job_outbox where id = $1', [id]);
      await until('the row of the later job is gone', async () => (await row()).length === 0);
      assert.equal(await system.outboxSize(), 0);
      assert.deepEqual(ran, ['ended meanwhile', 'later']);
    });

    it('keeps ended jobs that a dead processor has left in Redis, and deletes their rows later', async () => {
      const { id } = await transaction(() => NoteJob.performLater('done by a dead one'));
      await system.postgres.query('update job_outbox set dispatched_at = now()');
      const left = () => system.redis.client.zCard('bq:default:ended');
      await system.redis.client.zAdd('bq:default:ended', [
        { score: 1, value: id },
        { score: 1, value: 'not-a-uuid' },
      ]);
      await system.processor([NoteJob]);
      await refused();
      assert.equal(await left(), 2);
      await recover();
      await until('the row is gone', async () => (await system.outboxSize()) === 0);
      await until('Redis has forgotten it', async () => (await left()) === 0);
      assert.deepEqual(ran, []);
    });
  });
});
