import assert from 'node:assert/strict';
import { compileOptions } from '../../lib/job/definition/options';
import { notify } from '../../lib/job/hint/notifier';
import { Job, performAllLater } from '../../lib/job/job';
import { readInstallation } from '../../lib/job/row/installation';
import { claimLimited } from '../../lib/job/row/limited';
import { claimByPriority } from '../../lib/job/row/priority';
import { findJob } from '../../lib/job/sets/find-job';
import { transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';
import { setSources, setsOf } from './sets/set-sources';

/** A stop aborts runs 3 s before its deadline, so that it need not wait for the gate. */
const STOP_MS = 4000;

const gate = new Gate();
const ran: string[] = [];

class NamedJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

/** Runs behind the others, unless its enqueue says otherwise. */
class ImportJob extends NamedJob {
  static override readonly priority = 10;
}

/** Keeps the slot until the gate opens. */
class GateJob extends Job {
  async perform(): Promise<void> {
    await gate.pass(this.context.signal);
  }
}

class FailingJob extends Job<[name: string]> {
  static override readonly priority = -5;
  static override readonly retry = { limit: 1 };

  perform(name: string): void {
    ran.push(name);
    if (this.context.attempt < 2) throw new Error('once');
  }
}

class LimitedJob extends Job<[name: string]> {
  static override readonly limit = { count: 1 };
  static override readonly priority = 10;

  perform(name: string): void {
    ran.push(name);
  }
}

class PageJob extends Job<[page: string, n: number]> {
  static override readonly unique = { by: (page: string) => page, onConflict: 'replace' } as const;

  perform(page: string, n: number): void {
    ran.push(`${page} ${n}`);
  }
}

/** Runs one after the other. */
class ChainJob extends NamedJob {
  static override readonly unique = { by: () => '', onConflict: 'wait' } as const;
}

const CLASSES = [NamedJob, ImportJob, GateJob, FailingJob, LimitedJob, PageJob, ChainJob];

describe('the priority of jobs', () => {
  const system = useJobSystem({ gate, empty: [ran] });
  const start = (redisOff = false, concurrency = 1) => system.processor(CLASSES, { redisOff, jobs: { concurrency } });
  const allEnded = () => until('all jobs have ended', async () => (await system.jobCount()) === 0);
  const named = (name: string, priority: number, queue?: string) => NamedJob.set({ priority, queue }).prepare(name);
  /** Has the only slot taken until the gate opens. */
  const occupy = async () => {
    await GateJob.set({ priority: -100 }).performLater();
    await until('the slot is taken', () => gate.held === 1);
  };

  /** Does this, and waits until processors are told that jobs have priorities. */
  const untilTold = async (work: () => Promise<void>) => {
    const { knex } = system.database;
    let isTold = false;
    const onResponse = (_: unknown, { bindings }: { readonly bindings?: readonly unknown[] }) => {
      isTold ||= bindings?.includes('prioritised') === true;
    };
    knex.on('query-response', onResponse);
    try {
      await work();
      await until('processors are told', () => isTold);
    } finally {
      knex.removeListener('query-response', onResponse);
    }
  };

  for (const redisOff of [false, true]) {
    describe(redisOff ? 'without Redis' : 'with Redis', () => {
      it('decides which of the jobs that wait run first; of one priority the oldest', async () => {
        const priorities = Array.from({ length: 200 }, () => Math.floor(Math.random() * 7) - 3);
        await performAllLater(priorities.map((priority, n) => named(`${n}`, priority)));
        await start(redisOff);
        await allEnded();
        const inOrder = priorities
          .map((priority, n) => ({ priority, n }))
          .sort((a, b) => a.priority - b.priority || a.n - b.n);
        assert.deepEqual(
          ran,
          inOrder.map(({ n }) => `${n}`),
        );
      });

      it('decides anew each time a slot gets free, within each queue', async () => {
        await start(redisOff);
        await occupy();
        await performAllLater([named('mail', 0, 'mailer'), named('urgent mail', -100, 'mailer')]);
        await ImportJob.performLater('import');
        for (let n = 0; n < 40; n++) await NamedJob.performLater('plain');
        await ImportJob.set({ priority: 0 }).performLater('plain');
        await transaction(() => ImportJob.set({ priority: -1 }).performLater('urgent'));
        await NamedJob.set({ priority: -2 }).performLater('most urgent');
        gate.open();
        await allEnded();
        const plain = Array.from({ length: 41 }, () => 'plain');
        assert.deepEqual(ran, ['most urgent', 'urgent', ...plain, 'import', 'urgent mail', 'mail']);
      });

      it('is that of the later enqueue when it replaces a job', async () => {
        await start(redisOff);
        const { id: occupant } = await GateJob.performLater();
        await until('the slot is taken', () => gate.held === 1);
        const first = await PageJob.performAllLater(['a', 'b', 'c', 'd'].map((page) => [page, 1]));
        for (const { id } of first)
          await until('it is admitted', async () => (await findJob(system.database.knex, id)).place === 'waiting');
        await untilTold(async () => {
          await PageJob.set({ priority: 10 }).performLater('a', 2);
          await PageJob.set({ priority: -1 }).performLater('d', 2);
        });
        // By a notification, which comes after the one about priorities.
        await Job.cancel(occupant);
        await allEnded();
        // The keys of one priority take turns in any order.
        assert.deepEqual([ran[0], ran.length, ran[3]], ['d 2', 4, 'a 2']);
      });

      it('leaves jobs that were enqueued later to run at once', async () => {
        await start(redisOff);
        for (let n = 0; n < 3; n++) {
          await ImportJob.performLater(`import ${n}`);
          await until('it has run', () => ran.includes(`import ${n}`));
          await NamedJob.performLater(`plain ${n}`);
          await until('it has run', () => ran.includes(`plain ${n}`));
        }
        await allEnded();
      });
    });
  }

  it('is kept by jobs that become due, fail, die and get a new life', async () => {
    await system.skipWaits();
    const first = await start();
    await FailingJob.performLater('fails');
    await until('it has run twice', () => ran.length === 2);
    await allEnded();
    assert.deepEqual(ran.splice(0), ['fails', 'fails']);
    const { dead, scheduled } = setsOf(setSources(system));
    const later = await ImportJob.set({ wait: '1h' }).performLater('import');
    const urgent = await NamedJob.set({ wait: '1h', priority: -1 }).performLater('urgent');
    const killed = await NamedJob.set({ wait: '1h', priority: -2 }).performLater('most urgent');
    assert.equal((await scheduled.move('kill', { ids: [killed.id] })).moved, 1);
    assert.equal((await findJob(system.database.knex, killed.id)).entry?.priority, -2);
    await occupy();
    await NamedJob.performLater('plain');
    await system.postgres.query('update job_queue set run_at = now() where id = $1', [later.id]);
    await notify(system.database.knex, 'look');
    await until('it is due', async () => (await findJob(system.database.knex, later.id)).place !== 'scheduled');
    assert.equal((await scheduled.move('promote', { ids: [urgent.id] })).moved, 1);
    assert.equal((await dead.move('retry', { ids: [killed.id] })).moved, 1);
    // The news of the moves takes a moment to reach a processor. One that starts knows that it has to look.
    await first.stop(Deadline.after(STOP_MS));
    gate.open();
    await start();
    await allEnded();
    assert.deepEqual(ran, ['most urgent', 'urgent', 'plain', 'import']);
  });

  it('decides which of the jobs of a limit is admitted, and when it runs among the others', async () => {
    await start();
    await occupy();
    await LimitedJob.performLater('limited');
    await LimitedJob.performLater('second limited');
    await ImportJob.performLater('import');
    await NamedJob.performLater('plain');
    const { id } = await LimitedJob.set({ priority: -1 }).performLater('urgent limited');
    await until('it is admitted', async () => (await findJob(system.database.knex, id)).place === 'waiting');
    gate.open();
    await allEnded();
    assert.deepEqual(ran.slice(0, 2), ['urgent limited', 'plain']);
    assert.deepEqual(
      ran.filter((name) => name.endsWith('limited')),
      ['urgent limited', 'limited', 'second limited'],
    );
  });

  it('is told to processors when an enqueue gives one to a job that its limit has admitted', async () => {
    const { id } = await PageJob.performLater('a', 1);
    await system.postgres.query(`update job_queue set state = 'ready'`);
    // No dispatcher is there that would tell of it.
    await untilTold(async () => {
      assert.equal((await PageJob.set({ priority: -1 }).performLater('a', 2)).id, id);
    });
  });

  it('decides which of the jobs of a key runs next that run one after the other', async () => {
    await start();
    await occupy();
    for (const [name, priority] of [
      ['first', 0],
      ['later', 5],
      ['second', 0],
      ['urgent', -5],
    ] as const)
      await ChainJob.set({ priority }).performLater(name);
    gate.open();
    await allEnded();
    assert.deepEqual(ran.at(-1), 'later');
    assert.ok(
      ran.indexOf('urgent') < ran.indexOf('second') && ran.indexOf('first') < ran.indexOf('second'),
      ran.join(),
    );
  });

  it('decides in which order the jobs of limits run that a claim takes at once', async () => {
    const { knex } = system.database;
    const { here: origin } = await readInstallation(knex);
    const jobs = await PageJob.performAllLater(['a', 'b', 'c'].map((page) => [page, 1]));
    await system.postgres.query(`update job_queue set state = 'ready'`);
    await PageJob.set({ priority: 1 }).performLater('a', 2);
    await PageJob.set({ priority: -1 }).performLater('c', 2);
    const limits = new Map([['PageJob', { count: 1, gapMs: null, burst: 0, key: undefined }]]);
    const { claimed } = await claimLimited(knex, { identity: 'me', origin }, { queues: ['default'], limit: 3 }, limits);
    assert.deepEqual(
      claimed.map(({ id }) => jobs.findIndex((job) => job.id === id)),
      [2, 1, 0],
    );
  });

  it('is seen though no notification has arrived', async () => {
    await start();
    // Until a look has found no priority, the processor goes by priority anyway.
    await NamedJob.performLater('before');
    await allEnded();
    await GateJob.performLater();
    await until('the slot is taken', () => gate.held === 1);
    const insert = (name: string, priority: number, state: string) =>
      system.postgres.query(
        `insert into job_queue (state, queue, class, payload, priority)
         values ($1, 'default', 'NamedJob', json_build_object('class', 'NamedJob', 'args', json_build_array($2::text)), $3)`,
        [state, name, priority],
      );
    await insert('later', 1, 'held');
    await NamedJob.performLater('plain');
    await insert('urgent', -1, 'ready');
    gate.open();
    await allEnded();
    assert.deepEqual([...ran].sort(), ['before', 'later', 'plain', 'urgent']);
  });

  it('decides which jobs a claim takes, however few it takes', async () => {
    const { knex } = system.database;
    const { here: origin } = await readInstallation(knex);
    const order = [-2, -1, -1, 0, 0, 0, 1, 1, 2];
    const jobs = await performAllLater(order.map((priority) => named('x', priority)));
    const mail = await NamedJob.set({ queue: 'mailer', priority: -100 }).performLater('x');
    const found: string[] = [];
    for (let more = true; more; ) {
      const choice = { queues: ['default', 'mailer'], limit: 1 };
      const { claimed } = await claimByPriority(knex, { identity: 'me', origin }, choice);
      found.push(...claimed.map(({ id }) => id));
      more = claimed.length > 0;
    }
    assert.deepEqual(
      found,
      [...jobs, mail].map(({ id }) => id),
    );
  });

  it('lets a job run alone that may have killed its processes', async () => {
    const { id } = await ImportJob.performLater('dangerous');
    await system.postgres.query('update job_queue set deliveries = 2 where id = $1', [id]);
    for (let n = 0; n < 5; n++) await NamedJob.performLater('plain');
    await start(false, 3);
    await allEnded();
    assert.deepEqual(ran, ['plain', 'plain', 'plain', 'plain', 'plain', 'dangerous']);
  });

  it('runs each job once in two processes', async () => {
    await performAllLater(Array.from({ length: 400 }, (_, n) => named(`${n}`, (n % 5) - 2)));
    await Promise.all([start(false, 5), start(true, 5)]);
    await allEnded();
    assert.equal(ran.length, 400);
    assert.equal(new Set(ran).size, 400);
  });

  it('is refused when the class is loaded unless it is a whole number from -100 to 100', () => {
    for (const priority of [101, 1.5, Number.NaN, 'high' as never]) {
      class WrongJob extends NamedJob {
        static override readonly priority = priority;
      }
      assert.throws(
        () => compileOptions(WrongJob),
        /WrongJob: priority is .*; give a whole number from -100 to 100; smaller ones run first/,
      );
    }
  });
});
