import assert from 'node:assert/strict';
import { JobListener } from '../../../lib/job/dispatch/listener';
import { lookForOverdue } from '../../../lib/job/dispatch/overdue';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { TcpProxy } from '../../support/tcp-proxy';
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
  let proxy: TcpProxy;
  const system = useJobSystem({
    empty: [ran],
    reset: async () => {
      proxy = await TcpProxy.start(system.postgres.url);
    },
  });
  afterEach(async () => {
    await proxy.up();
    await system.stopProcessors();
    await proxy.down();
  });

  const listening = async (dispatch: object) => {
    const options = { databaseDirectUrl: proxy.url, tuning: { dispatch: { echoMs: 200, ...dispatch } } };
    const processor = await system.processor([NoteJob], options);
    await until('notifications arrive, and none is on its way', () => {
      const { dispatch: looks, listen } = processor.progress;
      return looks?.owedMs === 0 && looks.movedMs !== null && listen?.owedMs === 0 && processor.listening === true;
    });
    return processor;
  };
  const silences = () =>
    system.eventsNamed('queue.error').filter(({ error }) => /stopped arriving/.test(error.message)).length;

  it('delays no job that is enqueued, since Redis announces it', async () => {
    await listening({ lookMs: HOUR, echoMs: HOUR });
    proxy.hold();
    await transaction(() => NoteJob.performLater('unheard'));
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(system.eventsNamed('queue.error'), []);
  });

  it("is noticed by its own dispatcher's messages, reported as a standstill, and replaced", async () => {
    const processor = await listening({ lookMs: 20 });
    proxy.hold();
    await until('the connection is given up', () => silences() === 1);
    assert.equal(processor.listening, null);
    assert.ok((processor.progress.listen?.owedMs ?? 0) > 0);
    await proxy.up();
    await until('notifications arrive again', () => processor.listening === true);
    await until('nothing is owed', () => processor.progress.listen?.owedMs === 0);
  });

  it('tells its dispatcher that it was lost, which has nothing to do and would look seldom', async () => {
    let lost = 0;
    const listener = new JobListener({
      url: proxy.url,
      production: false,
      sendEcho: async () => undefined,
      onNotifications: () => undefined,
      onNotice: () => undefined,
      onLeader: () => undefined,
      onLost: () => lost++,
      onError: () => undefined,
    });
    listener.start();
    try {
      await until('it listens', () => listener.progress.read().movedMs !== null);
      await proxy.down();
      await until('its dispatcher is told', () => lost > 0);
    } finally {
      await listener.stop();
    }
  });

  it('delays a scheduled job at most until it is noticed', async () => {
    await listening({ lookMs: 20 });
    proxy.hold();
    await NoteJob.set({ wait: 50 }).performLater('scheduled');
    await until('the job has run', () => ran.length === 1);
  });
});

describe('a health check', () => {
  const system = useJobSystem({ empty: [ran] });
  for (const state of ["'ready', 0", "'scheduled', 0", "'scheduled', 1"])
    it(`finds a job (${state} attempts) that plain SQL has inserted, which an idle dispatcher would not`, async () => {
      const processor = await system.processor([NoteJob], { tuning: { dispatch: { lookMs: HOUR } } });
      await until('it rests', () => {
        const { dispatch } = processor.progress;
        return processor.listening === true && dispatch?.owedMs === 0 && dispatch.movedMs !== null;
      });
      await system.postgres.query(
        `insert into job_queue (queue, class, payload, state, attempts, run_at) values ('default', 'NoteJob',
         '{"class":"NoteJob","args":["by SQL"]}', ${state}, clock_timestamp() - interval '10 s')`,
      );
      await lookForOverdue(system.database.knex);
      await until('the job has run', () => ran.length === 1);
    });
});
