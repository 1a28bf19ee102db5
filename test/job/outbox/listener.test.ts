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
  /** A job that follows a notification within half a second is left to the poll, which the relay does not make here. */
  const enqueuedUntilRun = () =>
    until('they run', async () => {
      await transaction(() => NoteJob.performLater('unheard'));
      return ran.includes('unheard');
    });
  const silences = () =>
    system.eventsNamed('queue.error').filter(({ error }) => /stopped arriving/.test(error.message)).length;

  it('keeps no job back that is enqueued, is told as a standstill, and is replaced', async () => {
    // Nobody waits for its poll.
    const processor = await listening({ pollMs: HOUR, noticeMs: 20 });
    await transaction(() => NoteJob.performLater('heard'));
    await until('it ran', () => ran.length === 1);
    way.swallow();
    await enqueuedUntilRun();
    await until('the connection is given up', () => silences() === 1);
    assert.equal(processor.listening, null);
    assert.ok((processor.progress.listen?.owedMs ?? 0) > 0);
    way.mend();
    await until('notifications arrive again', () => processor.listening === true);
    // A notification that is on its way is owed for a moment.
    await until('nothing is owed', () => processor.progress.listen?.owedMs === 0);
  });

  it('keeps no job back while nobody has found that out', async () => {
    await listening({ pollMs: HOUR, noticeMs: 20, echoMs: HOUR });
    way.swallow();
    await enqueuedUntilRun();
    // Its keep-alive would find out later, and report it.
    assert.deepEqual(system.eventsNamed('queue.error'), []);
  });

  describe('keeps no job back', () => {
    const told = { queue: 'default', class: 'NoteJob' } as const;
    const payloadOf = (note: string) => payloadText({ ...told, args: [note], via: 'outbox' });
    /** Neither storing these nor inserting them notifies anybody. */
    const acts: Record<string, (note: string) => Promise<unknown>> = {
      'that was dead and that an operator retries': async (note) => {
        const id = await storeDead(system.database.knex, { ...told, args: [note] });
        await setsOf(setSources(system)).dead.retryMany({ ids: [id] });
      },
      'that an operator runs before its time': async (note) => {
        const row = { ...told, id: randomUUID(), payload: payloadOf(note), runAt: { inMs: HOUR } };
        await insertIntoOutbox(system.database.knex, [row]);
        await setsOf(setSources(system)).scheduled.promoteMany({ ids: [row.id] });
      },
      'that plain SQL has inserted, once somebody has asked how all is': async (note) => {
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
        await until('one of them runs', async () => {
          await act('unheard');
          return ran.length > 0;
        });
        assert.deepEqual(system.eventsNamed('queue.error'), []);
      });

    it('that plain SQL has inserted and that is due but fresh: whoever has inserted it may notify', async () => {
      await insertBySql('fresh', '0 s');
      assert.equal(await lookForOverdue(system.database.knex, system.redis.client), false);
    });
  });

  it('is found out by what its own relay tells all, too', async () => {
    await listening({ pollMs: 20, noticeMs: HOUR });
    way.swallow();
    await until('the connection is given up', () => silences() === 1);
  });
});
