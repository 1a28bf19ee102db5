import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Job } from '../../../lib/job/job';
import { insertIntoOutbox } from '../../../lib/job/outbox/insert';
import { lookForOverdue } from '../../../lib/job/outbox/overdue';
import { transaction } from '../../../lib/model/transaction';
import { TcpSwitch } from '../../chaos/scene/tcp-switch';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { setSources, setsOf } from '../sets/set-sources';
import { payloadText, storeDead } from '../sets/stored-job';

const HOUR = 3_600_000;
const ran: string[] = [];

class NoteJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}

describe('a LISTEN connection that falls silent', () => {
  let way: TcpSwitch;
  const system = useJobSystem(async () => {
    ran.length = 0;
    way = await TcpSwitch.start(Number(new URL(system.postgres.url).port));
  });
  afterEach(async () => {
    way.mend();
    await system.stopProcessors();
    await way.stop();
  });

  const listening = async (outbox: object) => {
    const direct = new URL(system.postgres.url);
    direct.port = String(way.port);
    const options = { databaseDirectUrl: direct.toString(), tuning: { outbox: { echoMs: 1000, ...outbox } } };
    const processor = await system.processor([NoteJob], options);
    await until('notifications arrive, and none is on its way', () => {
      const { relay, listen } = processor.progress;
      const rests = relay?.owedMs === 0 && relay.movedMs !== null && listen?.owedMs === 0;
      return rests && processor.listening === true;
    });
    return processor;
  };
  /** Enqueues until a job runs: one that follows a notification within half a second is left to the poll, which is off here. */
  const enqueuedUntilRun = () =>
    until('a job has run', async () => {
      await transaction(() => NoteJob.performLater('unheard'));
      return ran.includes('unheard');
    });
  const silences = () =>
    system.eventsNamed('queue.error').filter(({ error }) => /stopped arriving/.test(error.message)).length;

  it('delays no job that is enqueued, is reported as a standstill, and is replaced', async () => {
    // The next poll is an hour away.
    const processor = await listening({ pollMs: HOUR, noticeMs: 20 });
    await transaction(() => NoteJob.performLater('heard'));
    await until('the job has run', () => ran.length === 1);
    way.swallow();
    await enqueuedUntilRun();
    await until('the connection is given up', () => silences() === 1);
    assert.equal(processor.listening, null);
    assert.ok((processor.progress.listen?.owedMs ?? 0) > 0);
    way.mend();
    await until('notifications arrive again', () => processor.listening === true);
    // A notification that is on its way counts as owed for a moment.
    await until('nothing is owed', () => processor.progress.listen?.owedMs === 0);
  });

  it('delays no job before the silence is noticed', async () => {
    await listening({ pollMs: HOUR, noticeMs: 20, echoMs: HOUR });
    way.swallow();
    await enqueuedUntilRun();
    // The keep-alive would notice and report it only later.
    assert.deepEqual(system.eventsNamed('queue.error'), []);
  });

  describe('delays no job', () => {
    const told = { queue: 'default', class: 'NoteJob' } as const;
    const payloadOf = (note: string) => payloadText({ ...told, args: [note], via: 'outbox' });
    /** None of these sends a notification that is heard. */
    const acts: Record<string, (note: string) => Promise<unknown>> = {
      'that an operator retries after its death': async (note) => {
        const id = await storeDead(system.database.knex, { ...told, args: [note] });
        await setsOf(setSources(system)).dead.runMany('retry', { ids: [id] });
      },
      'that an operator promotes': async (note) => {
        const row = { ...told, id: randomUUID(), payload: payloadOf(note), runAt: { inMs: HOUR } };
        await insertIntoOutbox(system.database.knex, [row]);
        await setsOf(setSources(system)).scheduled.runMany('promote', { ids: [row.id] });
      },
      'that plain SQL has inserted, once a health check finds it': async (note) => {
        await insertBySql(note, '10 s');
        assert.equal(await lookForOverdue(system.database.knex, system.redis.client), true);
      },
    };
    const insertBySql = (note: string, age: string) =>
      system.postgres.query(
        `insert into job_outbox (id, queue, class, payload, run_at)
         values (gen_random_uuid(), 'default', 'NoteJob', $1, clock_timestamp() - $2::interval)`,
        [payloadOf(note), age],
      );

    for (const [which, act] of Object.entries(acts))
      it(which, async () => {
        await listening({ pollMs: HOUR, noticeMs: 20, echoMs: HOUR });
        way.swallow();
        await until('one of the jobs has run', async () => {
          await act('unheard');
          return ran.length > 0;
        });
        assert.deepEqual(system.eventsNamed('queue.error'), []);
      });

    it('and a health check ignores a row that is not yet overdue', async () => {
      await insertBySql('fresh', '0 s');
      assert.equal(await lookForOverdue(system.database.knex, system.redis.client), false);
    });
  });

  it("is noticed by its own relay's messages, too", async () => {
    await listening({ pollMs: 20, noticeMs: HOUR });
    way.swallow();
    await until('the connection is given up', () => silences() === 1);
  });
});
