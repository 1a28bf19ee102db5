import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { TcpSwitch } from '../../chaos/scene/tcp-switch';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

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

  it('is found out by what its own relay tells all, too', async () => {
    await listening({ pollMs: 20, noticeMs: HOUR });
    way.swallow();
    await until('the connection is given up', () => silences() === 1);
  });
});
