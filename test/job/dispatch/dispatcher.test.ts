import assert from 'node:assert/strict';
import { Dispatcher, type DispatcherTuning } from '../../../lib/job/dispatch/dispatcher';
import { Gate as DispatchGate } from '../../../lib/job/dispatch/gate';
import { MAX_HINTS } from '../../../lib/job/hint/hints';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

const gate = new Gate();
const ran: string[] = [];

class NoteJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

class OneJob extends Job<[name: string]> {
  static override readonly limit = { count: 1 };
  async perform(name: string): Promise<void> {
    await gate.pass();
    ran.push(name);
  }
}

/** It looks often, and takes hints for lost soon. */
const OFTEN = { dispatch: { lookMs: 50, overdueMs: 50, upkeepMs: 50 } };

describe('the dispatcher', () => {
  const system = useJobSystem({
    empty: [ran],
    reset: () => {
      gate.open();
    },
  });

  const hints = () => system.redis.client.lRange('bq:default:waiting', 0, -1);
  const loseHints = () => system.redis.client.flushAll();
  const insert = (count: number, values = '') =>
    system.postgres.query(
      `insert into job_queue (queue, class, payload ${values ? ', run_at' : ''})
       select 'default', 'NoteJob', '{"class":"NoteJob","args":["plain SQL"]}' ${values}
       from generate_series(1, ${count})`,
    );

  /** A dispatcher without Redis, to which no notification comes. */
  const loneDispatcher = (onUnhinted: () => void, tuning?: DispatcherTuning, isNotified = false) => {
    const { knex } = system.database;
    return new Dispatcher({
      knex,
      redis: undefined,
      hints: undefined,
      gate: new DispatchGate({ knex, onCopy: () => undefined }),
      limits: new Map(),
      onUnhinted,
      onPrioritised: () => undefined,
      onRescued: () => undefined,
      onDropped: () => undefined,
      onUnsealed: () => undefined,
      onError: assert.fail,
      id: 'alone',
      isNotified: () => isNotified,
      onMessageSent: () => undefined,
      checkClock: () => undefined,
      tuning,
    });
  };

  for (const jobClass of [NoteJob, OneJob])
    it(`hints again at jobs whose hints were lost, of ${jobClass.name}`, async () => {
      const quiet = await system.processor([jobClass], { tuning: OFTEN });
      quiet.quiet();
      const { id } = await jobClass.performLater('a');
      await until('there is a hint', async () => (await hints()).length > 0);
      await loseHints();
      await until('there is one again', async () => (await hints()).includes(id));
      quiet.resume();
      await until('the job has run', () => ran.length === 1);
    });

  it('hints only now and then at jobs of limits that seem to lack hints, since the others would wait for them', async () => {
    const resting = { dispatch: { lookMs: 3_600_000, overdueMs: 3_600_000 } };
    const quiet = await system.processor([NoteJob, OneJob], { tuning: resting });
    quiet.quiet();
    await until('it listens, and has nothing to do', () => quiet.listening && quiet.progress.dispatch?.owedMs === 0);
    const { id: plain } = await NoteJob.performLater('plain');
    await until('there is a hint', async () => (await hints()).length > 0);
    await insert(2, `, now() - interval '1 minute'`);
    const [older, limited] = await system.postgres.query<{ id: string }>(`select id from job_queue where id <> $1`, [
      plain,
    ]);
    await system.postgres.query(`update job_queue set class = 'OneJob', limit_key = 'OneJob' where id = $1`, [
      limited?.id,
    ]);
    await system.postgres.query(`notify job_queue, 'look'`);
    await until('the older one is next', async () => (await hints()).at(-1) === older?.id);
    assert.deepEqual(await hints(), [plain, older?.id]);
  });

  it('looks often again after what it is told of while it asks whether there is anything to do', async () => {
    const dispatcher = loneDispatcher(() => undefined, { lookMs: 10 }, true);
    /** The intervals that it has told the others, ms. */
    const told: number[] = [];
    let isTold = false;
    const onQuery = ({ sql, bindings }: { sql: string; bindings: readonly unknown[] }) => {
      if (sql.includes('where ms > 0')) {
        if (isTold) dispatcher.trigger();
        isTold = false;
      } else if (sql.startsWith('select ms::text')) told.push(Number(bindings[2]));
    };
    const { knex } = system.database;
    knex.on('query', onQuery);
    try {
      await insert(1);
      dispatcher.task.start();
      await until('it looks less often', () => (told.at(-1) ?? 0) > 50);
      isTold = true;
      await until('it looks often again', () => !isTold && told.at(-1) === 10);
    } finally {
      knex.removeListener('query', onQuery);
      await dispatcher.stop();
    }
  });

  it('looks whether the hint of a new job has reached a processor, even if it rests', async () => {
    const resting = { dispatch: { lookMs: 3_600_000, overdueMs: 50 } };
    const quiet = await system.processor([NoteJob], { tuning: resting });
    quiet.quiet();
    await until('it listens, and has nothing to do', () => quiet.listening && quiet.progress.dispatch?.owedMs === 0);
    const { id } = await NoteJob.performLater('a');
    await until('there is a hint', async () => (await hints()).length > 0);
    await loseHints();
    await until('there is one again', async () => (await hints()).includes(id));
  });

  it('deletes dead jobs that are too old after many have died, even if it rests', async () => {
    const resting = await system.processor([NoteJob], { tuning: { dispatch: { lookMs: 3_600_000 } } });
    await until('it has nothing to do', () => resting.listening && resting.progress.dispatch?.owedMs === 0);
    await system.postgres.query(
      `insert into job_dead (id, queue, class, payload, tags, history, error, attempts, messages, search, died_at)
       values (gen_random_uuid(), 'default', 'NoteJob', '{}', '{}', '{}', 'Error', 1, '', '', now() - interval '1 year')`,
    );
    const error = new Error('as told');
    const death = { error, reason: '', id: '', class: 'NoteJob', queue: 'default', attempt: 1, requestId: undefined };
    for (let n = 0; n < 1000; n++) system.events.emit('job.dead', { ...death, args: () => [] });
    await until('the old one is gone', async () => (await system.deadIds()).length === 0);
    await until('the log is told', () => system.eventsNamed('dead.dropped').some(({ reason }) => reason === 'age'));
  });

  it('hints at jobs that were never hinted at although its first look for them fails', async () => {
    const resting = { dispatch: { lookMs: 3_600_000, overdueMs: 3_600_000 } };
    const quiet = await system.processor([NoteJob], { tuning: resting });
    quiet.quiet();
    await until('it listens, and has nothing to do', () => quiet.listening && quiet.progress.dispatch?.owedMs === 0);
    await system.postgres.query('alter table job_pauses rename to away');
    try {
      await insert(1);
      await system.postgres.query(`notify job_queue, 'look'`);
      await until('the look has failed', () => system.eventsNamed('queue.error').length > 0);
    } finally {
      await system.postgres.query('alter table away rename to job_pauses');
    }
    await until('there is a hint', async () => (await hints()).length === 1);
  });

  it('hints at an older job before those that have hints', async () => {
    const quiet = await system.processor([NoteJob], { tuning: OFTEN });
    quiet.quiet();
    const { id: newer } = await NoteJob.performLater('newer');
    await until('there is a hint', async () => (await hints()).length > 0);
    // As if its hint had been lost.
    await insert(1, `, now() - interval '1 minute'`);
    const [older] = await system.postgres.query<{ id: string }>('select id from job_queue where id <> $1', [newer]);
    await until('the older one is next', async () => (await hints()).at(-1) === older?.id);
  });

  it('finds jobs that plain SQL has inserted, due or scheduled', async () => {
    await system.processor([NoteJob], { tuning: OFTEN });
    await insert(2);
    await until('both have run', () => ran.length === 2);
    await insert(1, `, now() + interval '200 milliseconds'`);
    await until('the third has run', () => ran.length === 3);
  });

  it('keeps a bounded number of hints, however many jobs wait, and refills it', async () => {
    const quiet = await system.processor([NoteJob], { tuning: OFTEN, jobs: { concurrency: 50 } });
    quiet.quiet();
    await insert(2 * MAX_HINTS);
    // On a slow machine Redis may refuse a part of them; it gets more only when few are left.
    await until('there are about as many hints as may be', async () => (await hints()).length >= MAX_HINTS / 2);
    assert.ok((await hints()).length <= MAX_HINTS + 1000);
    quiet.resume();
    await until('all jobs have run', async () => (await system.jobCount()) === 0);
    assert.equal(ran.length, 2 * MAX_HINTS);
  });

  it('admits held jobs when nobody else does', async () => {
    gate.close();
    const processor = await system.processor([OneJob], { tuning: OFTEN });
    await OneJob.performAllLater([['a'], ['b']]);
    await until('one runs', () => gate.held === 1);
    await until('the other is held', async () => {
      const [row] = await system.postgres.query<{ state: string }>(`select state from job_queue where state = 'held'`);
      return row !== undefined;
    });
    processor.quiet();
    // As if its process had died before it could admit the next one.
    await system.postgres.query(`delete from job_queue where state = 'running'`);
    await until('the other is ready', async () => {
      const [row] = await system.postgres.query<{ state: string }>('select state from job_queue');
      return row?.state === 'ready';
    });
    gate.open();
  });

  it('tells the processors of a job that has become due where there is no Redis', async () => {
    await system.postgres.query(
      `insert into job_queue (id, state, queue, class, payload) values (gen_random_uuid(), 'scheduled', 'default', 'NoteJob', '{}')`,
    );
    let told = 0;
    const dispatcher = loneDispatcher(() => told++);
    dispatcher.task.start();
    try {
      await until('they are told', () => told === 1);
    } finally {
      await dispatcher.stop();
    }
  });

  it('looks at its first interval, however long nothing comes, while notifications do not arrive', async () => {
    const { knex } = system.database;
    let looks = 0;
    const note = ({ sql }: { readonly sql: string }) => {
      if (sql.includes("state = 'scheduled' and attempts = 0")) looks++;
    };
    knex.on('query', note);
    const dispatcher = loneDispatcher(() => undefined, { lookMs: 5 });
    dispatcher.task.start();
    try {
      // At intervals that grow, so many looks would take years.
      await until('it has looked fifty times', () => looks >= 50);
    } finally {
      knex.off('query', note);
      await dispatcher.stop();
    }
  });

  it('returns the jobs of processors that are silent, without Redis too', async () => {
    await insert(1);
    await system.postgres.query(
      `update job_queue set state = 'running', claimed_by = 'dead', deliveries = 1, claimed_at = now() - interval '1 minute'`,
    );
    await system.redisServer.kill();
    await system.processor([NoteJob], { tuning: { dispatch: { ...OFTEN.dispatch, silentMs: 200 } } });
    await until('the job has run', () => ran.length === 1);
    await until('its rescue is told', () => system.eventsNamed('job.rescued').length === 1);
  });

  it('has Postgres count the jobs of a burst', async () => {
    // Those of the tests before may have been counted.
    await system.postgres.query(`select pg_stat_reset_single_table_counters('job_queue'::regclass)`);
    await insert(60_000);
    const countedAt = async () => {
      const [row] = await system.postgres.query<{ last_analyze: Date | null }>(
        `select last_analyze from pg_stat_user_tables where relname = 'job_queue'`,
      );
      return row?.last_analyze?.getTime() ?? 0;
    };
    const before = await countedAt();
    const dispatcher = loneDispatcher(() => undefined, { lookMs: 5, upkeepMs: 5 });
    dispatcher.task.start();
    try {
      await until('they are counted', async () => (await countedAt()) > before);
    } finally {
      await dispatcher.stop();
    }
  });
});
