import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import pg from 'pg';
import { currentContext } from '../../../lib/core/execution-context';
import { CronBoard } from '../../../lib/job/cron/cron-board';
import { Job } from '../../../lib/job/job';
import type { CronOptions, JobClass } from '../../../lib/job/job-class';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { JobSystem } from '../job-system';
import { YearlyJob } from './yearly-job';

const ran: { readonly name: string; readonly scheduledFor: unknown; readonly args: readonly unknown[] }[] = [];
const ranNames = () => ran.map((run) => run.name);
/** The ticks that were run, oldest first. */
const ticksOf = (name: string) =>
  ran
    .filter((run) => run.name === name)
    .map((run) => String(run.scheduledFor))
    .sort();

/** A job class with this `static cron`, that notes its runs. */
function recurring(cron: string | CronOptions | readonly CronOptions[], jobName = 'TickJob'): JobClass {
  return class extends Job<[a?: string, b?: number]> {
    static override jobName = jobName;
    static override cron = cron;
    perform(...args: unknown[]): void {
      ran.push({ name: jobName, scheduledFor: currentContext().attributes?.scheduledFor, args });
    }
  };
}

const EVERY_SECOND = '* * * * * *';
/** Ticks of `@yearly` since 2023-06: on no day but New Year's Eve can the number change while a test runs. */
const NEW_YEARS = Array.from(
  { length: new Date().getUTCFullYear() - 2023 },
  (_, n) => `${2024 + n}-01-01T00:00:00.000Z`,
);

describe('recurring jobs', () => {
  let system: JobSystem;
  let board: CronBoard;
  before(async () => {
    system = await JobSystem.start();
    board = new CronBoard(system.database.knex);
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    await system.postgres.query('truncate job_cron');
    ran.length = 0;
  });

  const processor = (...classes: JobClass[]) => system.processor(classes);
  const listed = async (name: string) => {
    const found = (await board.list()).find((listing) => listing.name === name);
    return found ?? assert.fail(`${name} is not listed`);
  };
  const isListed = (name: string) => until(`${name} is listed`, () => listed(name));
  /** As if nobody had dealt with any tick since the middle of 2023. */
  const sleptSince2023 = async (jobClass: JobClass) => {
    const first = await processor(jobClass);
    await until('it is in the table', async () => (await board.list()).length > 0);
    await first.stop(Deadline.after(2000));
    await system.postgres.query("update job_cron set settled_until = '2023-06-01'");
  };

  it('run at their times, with their arguments, and know which time it is', async () => {
    await processor(recurring({ at: EVERY_SECOND, catchUp: 'all', args: ['x', 7], name: 'tick' }));
    await until('three ran', () => ran.length >= 3);
    for (const { scheduledFor, args } of ran) {
      assert.deepEqual(args, ['x', 7]);
      assert.match(String(scheduledFor), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/);
    }
    const ticks = ticksOf('TickJob');
    assert.equal(new Set(ticks).size, ticks.length);
    const { lastTick, lastEnqueuedId, nextTick, ...rest } = await listed('tick');
    assert.deepEqual(rest, {
      name: 'tick',
      class: 'TickJob',
      spec: EVERY_SECOND,
      timeZone: 'UTC',
      catchUp: 'all',
      paused: false,
      known: true,
      missed: 0,
      caughtUp: 0,
    });
    assert.ok(lastTick && nextTick && nextTick > lastTick);
    assert.ok(system.eventsNamed('cron.enqueued').some((event) => event.id === lastEnqueuedId));
  });

  it('are enqueued once for each tick, by whichever of three processors is first, even as some stop', async () => {
    const jobClass = recurring({ at: EVERY_SECOND, catchUp: 'all' });
    const [first] = await Promise.all([processor(jobClass), processor(jobClass), processor(jobClass)]);
    await until('two ran', () => ran.length >= 2);
    await first?.stop(Deadline.after(2000));
    await until('four ran', () => ran.length >= 4);
    await processor(jobClass);
    await until('six ran', () => ran.length >= 6);
    const runs = ticksOf('TickJob');
    assert.equal(new Set(runs).size, runs.length, 'none ran twice');
    const ticks = system.eventsNamed('cron.enqueued').map((event) => event.scheduledFor.getTime());
    const [start = 0] = ticks;
    assert.deepEqual(
      ticks,
      ticks.map((_, n) => start + n * 1000),
      'every second once',
    );
  });

  it('are enqueued once a tick by any number of processors that wake up to ticks of years', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    await sleptSince2023(jobClass);
    await Promise.all(Array.from({ length: 4 }, () => processor(jobClass)));
    await until('all ran', () => ran.length >= NEW_YEARS.length);
    await board.runNow('TickJob');
    await until('and one more that was asked for', () => ran.length > NEW_YEARS.length);
    assert.deepEqual(ticksOf('TickJob').slice(0, -1), NEW_YEARS);
  });

  const policies = [
    { catchUp: 'skip', expected: [], missed: NEW_YEARS.length, caughtUp: 0 },
    { catchUp: 'once', expected: NEW_YEARS.slice(-1), missed: NEW_YEARS.length, caughtUp: 1 },
    { catchUp: 'all', expected: NEW_YEARS, missed: NEW_YEARS.length, caughtUp: NEW_YEARS.length },
  ] as const;
  for (const { catchUp, expected, missed, caughtUp } of policies) {
    it(`that slept catch up as told: ${catchUp}`, async () => {
      const jobClass = recurring({ at: '@yearly', catchUp });
      await sleptSince2023(jobClass);
      await processor(jobClass);
      await until('the ticks are dealt with', () => system.eventsNamed('cron.missed').length > 0);
      await until('they ran', () => ran.length === expected.length);
      assert.deepEqual(ticksOf('TickJob'), expected);
      assert.deepEqual(system.eventsNamed('cron.missed'), [
        { name: 'TickJob', class: 'TickJob', policy: catchUp, missed, caughtUp, limited: false },
      ]);
      const listing = await listed('TickJob');
      assert.deepEqual([listing.missed, listing.caughtUp], [missed, caughtUp]);
      assert.equal(listing.lastTick?.toISOString(), expected.at(-1));
    });
  }

  it('of which there are too many are caught up to a limit, and the log is told', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    await sleptSince2023(jobClass);
    await system.processor([jobClass], { tuning: { cron: { limit: 2 } } });
    await until('two ran', () => ran.length === 2);
    assert.deepEqual(ticksOf('TickJob'), NEW_YEARS.slice(-2));
    assert.equal(system.eventsNamed('cron.missed')[0]?.limited, true);
  });

  it('that are new start from now, and a restart brings no tick twice', async () => {
    const jobClass = recurring('@yearly');
    await processor(jobClass);
    await isListed('TickJob');
    assert.equal((await listed('TickJob')).lastTick, null);
    await sleptSince2023(jobClass);
    for (let round = 0; round < 3; round++) {
      const one = await processor(jobClass);
      await until('the latest tick was run', () => ran.length === 1);
      await one.stop(Deadline.after(2000));
    }
    assert.equal(ran.length, 1);
  });

  it('lose no tick, and repeat none, when a processor is killed within its transaction', async () => {
    await sleptSince2023(YearlyJob);
    const blocker = new pg.Client(system.postgres.url);
    await blocker.connect();
    let child: ChildProcess | undefined;
    try {
      await blocker.query('begin; lock table job_outbox in access exclusive mode');
      child = fork(path.join(__dirname, 'yearly-job.ts'), [system.postgres.url, system.redisServer.url], {
        execArgv: ['--import', 'tsx'],
      });
      const inserting = async () => {
        const rows = await system.postgres.query(
          "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query ~* 'insert into job_outbox'",
        );
        return rows.length > 0;
      };
      await until('it is about to enqueue', inserting);
      await system.processor([YearlyJob], { tuning: { cron: { pollMs: 50 } } });
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.deepEqual(system.eventsNamed('cron.enqueued'), [], 'the other one keeps off what is in hand');
      await blocker.query('commit');
    } finally {
      child?.kill('SIGKILL');
      await blocker.end();
    }
    await until('it is enqueued', () => system.eventsNamed('cron.enqueued').length > 0);
    await until('it ran', () => system.eventsNamed('job.succeeded').length > 0);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
    assert.equal(system.eventsNamed('job.succeeded').length, 1);
    assert.equal((await listed('YearlyJob')).lastTick?.toISOString(), NEW_YEARS.at(-1));
  });

  it('pause, and resume without what the pause swallowed', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    await sleptSince2023(jobClass);
    await board.pause('TickJob');
    await processor(recurring(EVERY_SECOND, 'OtherJob'), jobClass);
    await until('another one goes on', () => ranNames().includes('OtherJob'));
    const { paused, nextTick } = await listed('TickJob');
    assert.deepEqual([paused, nextTick], [true, null]);
    await board.resume('TickJob');
    await board.runNow('TickJob');
    await until('it runs when asked', () => ranNames().includes('TickJob'));
    assert.equal(ticksOf('TickJob').length, 1);
    assert.equal((await listed('TickJob')).lastTick, null);
    assert.ok((await listed('TickJob')).nextTick);
  });

  it('follow a pause and a resume at once', async () => {
    await system.processor([recurring(EVERY_SECOND)], { tuning: { cron: { pollMs: 60_000 } } });
    await until('it ran', () => ran.length >= 1);
    await board.pause('TickJob');
    await system.stopProcessors();
    const before = (await listed('TickJob')).lastTick;
    await system.processor([recurring(EVERY_SECOND)], { tuning: { cron: { pollMs: 60_000 } } });
    await board.runNow('TickJob');
    const asked = await until('it ran though paused', () =>
      ran.find(({ scheduledFor }) => !/\.000Z$/.test(`${scheduledFor}`)),
    );
    assert.ok(asked);
    assert.deepEqual((await listed('TickJob')).lastTick, before);
    const runs = ran.length;
    await board.resume('TickJob');
    await until('it runs again', () => ran.length > runs);
  });

  it('that are unknown are named, with those there are', async () => {
    const message = "no recurring job is named 'nightly'; there are: none";
    await assert.rejects(board.runNow('nightly'), { name: 'UserError', message });
    await processor(recurring('@yearly', 'AJob'), recurring('@yearly', 'BJob'));
    await isListed('BJob');
    const named = { name: 'UserError', message: "no recurring job is named 'nightly'; there are: AJob, BJob" };
    for (const act of ['runNow', 'pause', 'resume', 'forget'] as const)
      await assert.rejects(board[act]('nightly'), named);
    await board.forget('AJob');
    assert.deepEqual(
      (await board.list()).map((listing) => listing.name),
      ['BJob'],
    );
  });

  it('with changed times start from now; an old processor keeps off until it alone is left', async () => {
    await sleptSince2023(recurring('@yearly'));
    await system.postgres.query('update job_cron set missed = 5');
    await processor(recurring({ at: '0 0 1 1 *', timeZone: 'Europe/Berlin' }));
    await until('it is changed', async () => (await listed('TickJob')).timeZone === 'Europe/Berlin');
    const restart = async () => {
      const [row] = await system.postgres.query<{ fresh: boolean }>(
        "select settled_until > now() - interval '1 minute' as fresh from job_cron",
      );
      return row?.fresh;
    };
    assert.ok(await restart());
    await system.stopProcessors();

    // An old one that was there before: its next looks at the table must leave the new times alone.
    await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20, refreshMs: 20 } } });
    await until(
      'the old one has it for now, as the last to start',
      async () => (await listed('TickJob')).spec === '@yearly',
    );
    await system.postgres.query(
      "update job_cron set spec = '0 0 1 1 *', refreshed_at = now(), settled_until = '2023-06-01'",
    );
    await system.processor([recurring(EVERY_SECOND, 'OtherJob')]);
    await until('time has passed', () => ran.length >= 2);
    assert.deepEqual([(await listed('TickJob')).spec, ticksOf('TickJob')], ['0 0 1 1 *', []]);
    await system.postgres.query(
      "update job_cron set refreshed_at = now() - interval '4 minutes' where name = 'TickJob'",
    );
    await until('nobody else knows it', async () => (await listed('TickJob')).spec === '@yearly');
    assert.ok(await restart());
    assert.equal((await listed('TickJob')).missed, 5);
  });

  it('whose classes are gone are marked after a day, and deleted after a week', async () => {
    const refreshed = (age: string) =>
      system.postgres.query("update job_cron set refreshed_at = now() - $1::interval where name = 'GoneJob'", [age]);
    await sleptSince2023(recurring('@yearly', 'GoneJob'));
    await refreshed('25 hours');
    await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20, refreshMs: 20 } } });
    await isListed('TickJob');
    const { known, nextTick } = await listed('GoneJob');
    assert.deepEqual([known, nextTick], [false, null]);
    await refreshed('8 days');
    await until('it is deleted', async () => (await board.list()).length === 1);
    assert.deepEqual(ticksOf('GoneJob'), []);
  });

  it('survive a week’s sleep of the whole app', async () => {
    const jobClass = recurring('@yearly');
    await sleptSince2023(jobClass);
    await system.postgres.query("update job_cron set refreshed_at = now() - interval '30 days', missed = 3");
    await processor(jobClass);
    await until('it is caught up', () => ran.length === 1);
    assert.equal((await listed('TickJob')).missed, 3 + NEW_YEARS.length);
  });

  it('start anew where a wrong clock has settled the future', async () => {
    const jobClass = recurring(EVERY_SECOND);
    await sleptSince2023(jobClass);
    await system.postgres.query("update job_cron set settled_until = '2100-01-01'");
    await processor(jobClass);
    await until('it runs', () => ran.length > 0);
  });

  it('that cannot be enqueued keep nobody else from it, and are tried again', async () => {
    let broken = true;
    class BrokenJob extends Job {
      static override cron = '@yearly';
      override beforeEnqueue(): void {
        if (broken) throw new Error('it will not do');
      }
      perform(): void {}
    }
    await sleptSince2023(BrokenJob);
    await processor(BrokenJob, recurring(EVERY_SECOND));
    await until('the other runs', () => ran.length >= 2);
    const errors = system.eventsNamed('cron.error');
    assert.deepEqual(
      errors.map((event) => event.name),
      ['BrokenJob'],
      'the first in a row is told of',
    );
    assert.match(String(errors[0]?.error.message), /^it will not do/);
    broken = false;
    await until('it is enqueued', () => system.eventsNamed('cron.enqueued').some((e) => e.name === 'BrokenJob'));
  });

  it('are declined where the class is unique and its last run is still on its way', async () => {
    class UniqueJob extends Job {
      static override cron = EVERY_SECOND;
      static override queue = 'nobody-serves-it';
      static override unique = true as const;
      perform(): void {}
    }
    await processor(UniqueJob);
    await until('two ticks are declined', () => system.eventsNamed('cron.declined').length >= 2);
    const [enqueued, ...more] = system.eventsNamed('cron.enqueued');
    assert.deepEqual(more, []);
    assert.equal(system.eventsNamed('cron.declined')[0]?.reason, 'duplicate');
    assert.equal((await listed('UniqueJob')).lastEnqueuedId, enqueued?.id);
  });

  it('are enqueued while Redis is away, and run when it is back', async () => {
    await sleptSince2023(recurring('@yearly'));
    await system.redisServer.stop();
    await processor(recurring('@yearly'));
    await until('it is enqueued', () => system.eventsNamed('cron.enqueued').length === 1);
    assert.equal(await system.outboxSize(), 1);
    assert.deepEqual(ran, []);
    await system.redisServer.start();
    await until('it ran', () => ran.length === 1);
  });

  it('wait quietly for a Postgres that is away', async () => {
    const name = new URL(system.postgres.url).pathname.slice(1);
    const admin = new pg.Client(Object.assign(new URL(system.postgres.url), { pathname: '/postgres' }).toString());
    await admin.connect();
    try {
      await system.processor([recurring(EVERY_SECOND)], { tuning: { cron: { pollMs: 50 } } });
      await until('it runs', () => ran.length > 0);
      await admin.query(`alter database ${name} allow_connections false`);
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
      await until('it is missed', () => system.eventsNamed('cron.error').length > 0);
    } finally {
      await admin.query(`alter database ${name} allow_connections true`);
      await admin.end();
    }
    const [before, errors] = [ran.length, system.eventsNamed('cron.error').length];
    assert.ok(errors <= 2, `${errors} errors`);
    await until('it runs again', () => ran.length > before);
  });

  it('are left to others by a processor that is quiet, until it resumes', async () => {
    const one = await processor(recurring(EVERY_SECOND));
    await until('it runs', () => ran.length > 0);
    one.quiet();
    const before = system.eventsNamed('cron.enqueued').length;
    await processor(recurring(EVERY_SECOND, 'OtherJob'));
    await until('time has passed', () => ranNames().filter((name) => name === 'OtherJob').length >= 2);
    const own = () => system.eventsNamed('cron.enqueued').filter((event) => event.name === 'TickJob').length;
    assert.ok(own() <= before + 1, 'at most the one that was in hand');
    const quietCount = own();
    one.resume();
    await until('it goes on', () => own() > quietCount);
  });
});
