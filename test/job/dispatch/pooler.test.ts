import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { pauseQueue, resumeQueue } from '../../../lib/job/row/pauses';
import { Database } from '../../../lib/model/database';
import { migrateUp } from '../../../lib/model/migrator';
import { Deadline } from '../../../lib/support/deadline';
import { migrationsIn } from '../../support/migrations';
import { TransactionPooler } from '../../support/transaction-pooler';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const HOUR = 3_600_000;
const ran: string[] = [];

class NoteJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}

describe('a pooler in transaction mode', () => {
  let pooler: TransactionPooler;
  let database: Database;
  const system = useJobSystem({
    empty: [ran],
    reset: async () => {
      pooler = await TransactionPooler.open(system.postgres.url);
      database = new Database(pooler.url, { production: false, events: system.events });
    },
  });
  afterEach(async () => {
    await system.stopProcessors();
    await database.stop(Deadline.after(5000));
    await pooler.close();
  });

  it('lets jobs run, and is detected although LISTEN succeeds', async () => {
    assert.deepEqual(
      await migrateUp(database.knex, migrationsIn(['lib/job/migrations'])),
      [],
      'the migrator works through the pooler',
    );
    const dispatch = { echoMs: 50, lookMs: 20 };
    const processor = await system.processor([NoteJob], { database, tuning: { dispatch } });
    await until('the pooler is reported', () => system.eventsNamed('notifications.lost').length === 1);
    assert.equal(processor.listening, false);
    await NoteJob.set({ wait: 20 }).performLater('polled');
    await until('the job has run', () => ran.length === 1);
    pooler.keepSessions();
    await until('notifications arrive again', () => system.eventsNamed('notifications.restored').length === 1);
    assert.equal(processor.listening, true);
  });

  it('makes a processor without Redis look again and again, never less often, while nothing comes', async () => {
    const looks: number[] = [];
    const dispatch = { echoMs: 50, lookMs: HOUR };
    await system.processor([NoteJob], { database, redisOff: true, tuning: { dispatch } });
    await until('the pooler is reported', () => system.eventsNamed('notifications.lost').length === 1);
    database.knex.on('query', ({ sql }: { readonly sql: string }) => {
      if (/set state = 'running'/.test(sql)) looks.push(performance.now());
    });
    await until('it has looked some times', () => looks.length >= 5);
    const waits = looks.slice(1).map((at, n) => at - (looks[n] ?? 0));
    // They vary by half. If they doubled, the last would take eight times as long as the first.
    assert.ok((waits[3] ?? 0) < 4 * (waits[0] ?? 0), `${waits} ms`);
  });

  for (const redisOff of [true, false])
    it(`keeps a processor ${redisOff ? 'without' : 'with'} Redis from no queue that has been resumed`, async () => {
      await pauseQueue(system.database.knex, 'mailer', 'test');
      await NoteJob.set({ queue: 'mailer' }).performLater('resumed');
      const dispatch = { echoMs: 50, lookMs: HOUR };
      const processor = await system.processor([NoteJob], { database, redisOff, tuning: { dispatch } });
      await until('the pooler is reported', () => system.eventsNamed('notifications.lost').length === 1);
      await NoteJob.performLater('of another queue');
      await until('a job of another queue has run', () => ran.length === 1);
      await until('nothing is owed', () => processor.progress.dispatch?.owedMs === 0);
      await resumeQueue(system.database.knex, 'mailer');
      await until('the job has run', () => ran.length === 2);
    });

  it('is bypassed by DATABASE_DIRECT_URL, so that jobs start at once', async () => {
    // The next look is an hour away: only a notification can start the job.
    const dispatch = { echoMs: HOUR, lookMs: HOUR };
    const options = { database, databaseDirectUrl: system.postgres.url, tuning: { dispatch } };
    const processor = await system.processor([NoteJob], options);
    await until("the listener's own notification has arrived", () => processor.listening === true);
    await NoteJob.set({ wait: 20 }).performLater('told');
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(system.eventsNamed('notifications.lost'), []);
  });
});
