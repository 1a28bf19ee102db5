import assert from 'node:assert/strict';
import pg from 'pg';
import { CronTable } from '../../../lib/job/cron/cron-table';
import type { JobClass } from '../../../lib/job/definition/job-class';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, NEW_YEARS, ran, recurring, sleptSince2023, ticksOf } from './cron-stage';

const HOUR = 3_600_000;

describe('recurring jobs', () => {
  let board: CronTable;
  const system = useJobSystem({ empty: [ran] });
  before(() => {
    board = new CronTable(system.database.knex);
  });

  const processor = (...classes: JobClass[]) => system.processor(classes);
  const listed = async (name: string) => {
    const found = (await board.list()).find((listing) => listing.name === name);
    return found ?? assert.fail(`${name} is not listed`);
  };
  const isListed = (name: string) => until(`${name} is listed`, () => listed(name));
  const enqueued = () => system.eventsNamed('cron.enqueued').map(({ name }) => name);
  const hasRun = (name: string) => until(`${name} has run`, () => ticksOf(name).length > 0);
  const alter = (assignments: string, name = 'TickJob') =>
    system.postgres.query(`update job_cron set ${assignments} where name = $1`, [name]);

  it('run at their times, with their arguments and the tick that they are for', async () => {
    await processor(recurring({ at: EVERY_SECOND, catchUp: 'all', args: ['x', 7], name: 'tick' }));
    await until('two jobs have run', () => ran.length >= 2);
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
      runTime: false,
      known: true,
      missed: 0,
      caughtUp: 0,
    });
    assert.ok(lastTick && nextTick && nextTick > lastTick);
    assert.ok(system.eventsNamed('cron.enqueued').some((event) => event.id === lastEnqueuedId));
  });

  it('are enqueued once a tick by four processors that catch up on years of ticks', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    await sleptSince2023(system, jobClass);
    await Promise.all(Array.from({ length: 4 }, () => processor(jobClass)));
    await until('all jobs have run', () => ran.length >= NEW_YEARS.length);
    await board.act('trigger', 'TickJob');
    await until('the triggered job has run, too', () => ran.length > NEW_YEARS.length);
    assert.deepEqual(ticksOf('TickJob').slice(0, -1), NEW_YEARS);
    assert.equal((await listed('TickJob')).lastTick?.toISOString(), NEW_YEARS.at(-1));
  });

  const policies = [
    { catchUp: 'skip', expected: [], missed: NEW_YEARS.length, caughtUp: 0 },
    { catchUp: 'once', expected: NEW_YEARS.slice(-1), missed: NEW_YEARS.length, caughtUp: 1 },
    { catchUp: 'all', expected: NEW_YEARS, missed: NEW_YEARS.length, caughtUp: NEW_YEARS.length },
  ] as const;
  for (const { catchUp, expected, missed, caughtUp } of policies) {
    it(`catch up on missed ticks with the policy ${catchUp}`, async () => {
      const jobClass = recurring({ at: '@yearly', catchUp });
      await sleptSince2023(system, jobClass);
      await processor(jobClass);
      await until('the missed ticks are settled', () => system.eventsNamed('cron.missed').length > 0);
      await until('the jobs have run', () => ran.length === expected.length);
      assert.deepEqual(ticksOf('TickJob'), expected);
      assert.deepEqual(system.eventsNamed('cron.missed'), [
        { name: 'TickJob', class: 'TickJob', policy: catchUp, missed, caughtUp, limited: false },
      ]);
      const listing = await listed('TickJob');
      assert.deepEqual([listing.missed, listing.caughtUp], [missed, caughtUp]);
      assert.equal(listing.lastTick?.toISOString(), expected.at(-1));
    });
  }

  it('start from now when they are new, and repeat no tick after a restart', async () => {
    const jobClass = recurring('@yearly');
    await processor(jobClass);
    await isListed('TickJob');
    assert.equal((await listed('TickJob')).lastTick, null);
    await system.stopProcessors();
    await alter("settled_until = '2023-06-01'");
    for (let round = 0; round < 3; round++) {
      const one = await processor(jobClass);
      await until('the job of the latest tick has run', () => ran.length === 1);
      await one.stop(Deadline.after(30_000));
    }
    assert.equal(ran.length, 1);
  });

  it('pause, run when triggered, and resume at once without the ticks of the pause', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    const other = recurring('@yearly', 'OtherJob');
    await sleptSince2023(system, jobClass, other);
    await board.act('pause', 'TickJob');
    await system.processor([jobClass, other], { tuning: { cron: { pollMs: HOUR } } });
    await hasRun('OtherJob');
    const { paused, nextTick } = await listed('TickJob');
    assert.deepEqual([paused, nextTick], [true, null]);
    await board.act('trigger', 'TickJob');
    await hasRun('TickJob');
    await board.act('resume', 'TickJob');
    await board.act('trigger', 'TickJob');
    await until('the second triggered job has run', () => ticksOf('TickJob').length > 1);
    assert.equal(ticksOf('TickJob').length, 2);
    const { lastTick, nextTick: next } = await listed('TickJob');
    assert.equal(lastTick, null);
    assert.ok(next);
  });

  it('that are not paused lose no tick when somebody resumes them', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'once' });
    await sleptSince2023(system, jobClass);
    await board.act('resume', 'TickJob');
    await system.processor([jobClass], { tuning: { cron: { pollMs: HOUR } } });
    await hasRun('TickJob');
  });

  it('are named in the error for an unknown one', async () => {
    const message = 'There is no recurring job "nightly". There is none yet.';
    await assert.rejects(board.act('trigger', 'nightly'), { name: 'UserError', message });
    await processor(recurring('@yearly', 'AJob'), recurring('@yearly', 'BJob'));
    await isListed('BJob');
    const named = { name: 'UserError', message: 'There is no recurring job "nightly". There are: AJob, BJob.' };
    for (const act of ['trigger', 'pause', 'resume', 'forget'] as const)
      await assert.rejects(board.act(act, 'nightly'), named);
    await board.act('forget', 'AJob');
    assert.deepEqual(
      (await board.list()).map((listing) => listing.name),
      ['BJob'],
    );
  });

  it('start from now when their times have changed, and an older processor leaves them alone until it is the only one', async () => {
    const startsFromNow = async () => {
      const fresh = "select settled_until > now() - interval '1 day' as fresh from job_cron where name = 'TickJob'";
      return (await system.postgres.query(fresh))[0]?.fresh;
    };
    await sleptSince2023(system, recurring('@yearly'));
    await alter('missed = 5');
    await processor(recurring({ at: '0 0 1 1 *', timeZone: 'Europe/Berlin', catchUp: 'skip' }));
    await until('the time zone has changed', async () => (await listed('TickJob')).timeZone === 'Europe/Berlin');
    assert.ok(await startsFromNow());
    assert.equal((await listed('TickJob')).catchUp, 'skip');
    await system.stopProcessors();

    const classes = [recurring('@yearly'), recurring('@yearly', 'OtherJob')];
    await system.processor(classes, { tuning: { cron: { pollMs: 20, refreshMs: 20 } } });
    await until(
      'the last processor to start has written its times',
      async () => (await listed('TickJob')).spec === '@yearly',
    );
    // As if a newer processor had come and written its times; the older one reads the table again and again.
    await alter("spec = '0 0 1 1 *', refreshed_at = now(), settled_until = '2023-06-01'");
    for (let look = 0; look < 2; look++) {
      await alter("refreshed_at = '2023-06-01'", 'OtherJob');
      const refreshed = "select 1 from job_cron where name = 'OtherJob' and refreshed_at > '2024-01-01'";
      await until(
        'the older processor has refreshed its other job',
        async () => (await system.postgres.query(refreshed))[0],
      );
    }
    await alter("settled_until = '2023-06-01'", 'OtherJob');
    await hasRun('OtherJob');
    assert.deepEqual([(await listed('TickJob')).spec, ticksOf('TickJob')], ['0 0 1 1 *', []]);
    await alter("refreshed_at = now() - interval '4 minutes'");
    await until(
      'the older processor has written its times again',
      async () => (await listed('TickJob')).spec === '@yearly',
    );
    assert.ok(await startsFromNow());
    assert.equal((await listed('TickJob')).missed, 5);
  });

  it('have no tick of their old times when these change before their turn', async () => {
    const gate = new Gate();
    class SlowJob extends Job {
      static override cron = '@yearly';
      override async beforeEnqueue(): Promise<void> {
        await gate.pass();
      }
      perform(): void {}
    }
    const changed = [recurring('@yearly'), recurring('@yearly', 'MovedJob')];
    const classes = [SlowJob, ...changed, recurring('@yearly', 'LastJob')];
    await sleptSince2023(system, ...classes);
    await processor(...classes);
    await until('the first job holds up the others', () => gate.held === 1);
    await alter("spec = '0 0 1 1 *'");
    await alter("time_zone = 'Asia/Seoul'", 'MovedJob');
    gate.open();
    await until('all jobs had their turn', () => enqueued().includes('LastJob'));
    assert.deepEqual(enqueued(), ['SlowJob', 'LastJob']);
  });

  it('are marked a day after their class is gone, and deleted after a week', async () => {
    const refreshed = (age: string) =>
      system.postgres.query("update job_cron set refreshed_at = now() - $1::interval where name = 'GoneJob'", [age]);
    await sleptSince2023(system, recurring('@yearly', 'GoneJob'));
    await refreshed('25 hours');
    await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20, refreshMs: 20 } } });
    await isListed('TickJob');
    const { known, nextTick } = await listed('GoneJob');
    assert.deepEqual([known, nextTick], [false, null]);
    await refreshed('8 days');
    await until('the job without a class is deleted', async () => (await board.list()).length === 1);
    assert.deepEqual(ticksOf('GoneJob'), []);
  });

  it('are kept when the whole app was stopped for more than a week', async () => {
    const jobClass = recurring('@yearly');
    await sleptSince2023(system, jobClass);
    await alter("refreshed_at = now() - interval '30 days', missed = 3, caught_up = 2");
    await processor(jobClass);
    await until('the job has caught up', () => ran.length === 1);
    const { missed, caughtUp } = await listed('TickJob');
    assert.deepEqual([missed, caughtUp], [3 + NEW_YEARS.length, 2 + 1]);
  });

  it('start from now when a wrong clock has settled ticks of the future', async () => {
    const jobClass = recurring('@yearly');
    await sleptSince2023(system, jobClass);
    await alter("settled_until = '2100-01-01'");
    await processor(jobClass);
    const settled = "select settled_until < now() + interval '1 minute' as now from job_cron";
    await until('the job starts from now', async () => (await system.postgres.query(settled))[0]?.now);
  });

  it('are enqueued although another one cannot be, which is tried again', async () => {
    let [broken, tries] = [true, 0];
    class BrokenJob extends Job {
      static override cron = '@yearly';
      override beforeEnqueue(): void {
        tries++;
        if (broken) throw new Error('it will not do');
      }
      perform(): void {}
    }
    const other = recurring('@yearly', 'OtherJob');
    await sleptSince2023(system, BrokenJob, other);
    await processor(BrokenJob, other);
    await hasRun('OtherJob');
    await until('the broken job is tried again', () => tries > 1);
    const errors = system.eventsNamed('cron.error');
    assert.deepEqual(
      errors.map(({ name, error }) => `${name}: ${error.message}`),
      ['BrokenJob: it will not do'],
      'only the first failure in a row is logged',
    );
    broken = false;
    await until('the repaired job is enqueued', () => enqueued().includes('BrokenJob'));
    broken = true;
    await board.act('trigger', 'BrokenJob');
    await until('its next failure is logged', () => system.eventsNamed('cron.error').length === 2);
  });

  it('are skipped when the class is unique and the previous job has not ended', async () => {
    class UniqueJob extends Job {
      static override readonly cron = { at: '@yearly', catchUp: 'all' } as const;
      static override queue = 'nobody-serves-it';
      static override unique = true as const;
      perform(): void {}
    }
    await sleptSince2023(system, UniqueJob);
    await processor(UniqueJob);
    const declined = () => system.eventsNamed('cron.skipped').map(({ reason }) => reason);
    await until('all ticks but one are skipped', () => declined().length === NEW_YEARS.length - 1);
    assert.deepEqual(new Set(declined()), new Set(['duplicate']));
    assert.deepEqual(enqueued(), ['UniqueJob']);
    assert.equal((await listed('UniqueJob')).lastEnqueuedId, system.eventsNamed('cron.enqueued')[0]?.id);
  });

  it('are enqueued and run while Redis is down', async () => {
    await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20 } } });
    await isListed('TickJob');
    await system.redisServer.stop();
    await alter("settled_until = '2023-06-01'");
    await until('the job is enqueued', () => system.eventsNamed('cron.enqueued').length === 1);
    await until('the job has run', () => ran.length === 1);
  });

  it('wait for a Postgres that is down, and log only a few errors', async () => {
    const name = new URL(system.postgres.url).pathname.slice(1);
    const admin = new pg.Client(Object.assign(new URL(system.postgres.url), { pathname: '/postgres' }).toString());
    await admin.connect();
    try {
      await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20 } } });
      await isListed('TickJob');
      await admin.query(`alter database ${name} allow_connections false`);
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
      await until('the loss of Postgres is reported', () => system.eventsNamed('cron.error').length > 0);
    } finally {
      await admin.query(`alter database ${name} allow_connections true`);
      await admin.end();
    }
    await alter("settled_until = '2023-06-01'");
    await hasRun('TickJob');
    const errors = system.eventsNamed('cron.error').length;
    assert.ok(errors <= 2, `${errors} errors`);
  });

  it('are not enqueued by a quiet processor or its successor until it resumes', async () => {
    const [own, other] = [recurring('@yearly'), recurring('@yearly', 'OtherJob')];
    const one = await processor(own);
    await isListed('TickJob');
    one.quiet();
    await sleptSince2023(system, other);
    await alter("settled_until = '2023-06-01'");
    await system.processor([own], { lineage: { identity: 'a successor', dead: [], quiet: true } });
    await processor(other);
    await hasRun('OtherJob');
    assert.deepEqual(enqueued(), ['OtherJob']);
    one.resume();
    await until('the resumed processor enqueues its job', () => enqueued().includes('TickJob'));
  });
});
