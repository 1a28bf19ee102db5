import assert from 'node:assert/strict';
import pg from 'pg';
import { CronTable } from '../../../lib/job/cron/cron-table';
import type { JobClass } from '../../../lib/job/definition/job-class';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/async';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, NEW_YEARS, ran, recurring, sleptSince2023, ticksOf } from './cron-stage';

const HOUR = 3_600_000;

describe('recurring jobs', () => {
  let board: CronTable;
  const system = useJobSystem(async () => {
    await system.postgres.query('truncate job_cron');
    ran.length = 0;
  });
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

  it('run at their times, with their arguments, and know which time it is', async () => {
    await processor(recurring({ at: EVERY_SECOND, catchUp: 'all', args: ['x', 7], name: 'tick' }));
    await until('two ran', () => ran.length >= 2);
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

  it('are enqueued once a tick by any number of processors that wake up to ticks of years', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    await sleptSince2023(system, jobClass);
    await Promise.all(Array.from({ length: 4 }, () => processor(jobClass)));
    await until('all ran', () => ran.length >= NEW_YEARS.length);
    await board.trigger('TickJob');
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
      await sleptSince2023(system, jobClass);
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
    await sleptSince2023(system, jobClass);
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
    await system.stopProcessors();
    await alter("settled_until = '2023-06-01'");
    for (let round = 0; round < 3; round++) {
      const one = await processor(jobClass);
      await until('the latest tick was run', () => ran.length === 1);
      await one.stop(Deadline.after(30_000));
    }
    assert.equal(ran.length, 1);
  });

  it('pause, and resume without what the pause swallowed, at once', async () => {
    const jobClass = recurring({ at: '@yearly', catchUp: 'all' });
    const other = recurring('@yearly', 'OtherJob');
    await sleptSince2023(system, jobClass, other);
    await board.pause('TickJob');
    await system.processor([jobClass, other], { tuning: { cron: { pollMs: HOUR } } });
    await hasRun('OtherJob');
    const { paused, nextTick } = await listed('TickJob');
    assert.deepEqual([paused, nextTick], [true, null]);
    await board.trigger('TickJob');
    await hasRun('TickJob');
    await board.resume('TickJob');
    await board.trigger('TickJob');
    await until('it runs again when asked', () => ticksOf('TickJob').length > 1);
    assert.equal(ticksOf('TickJob').length, 2);
    const { lastTick, nextTick: next } = await listed('TickJob');
    assert.equal(lastTick, null);
    assert.ok(next);
  });

  it('that are unknown are named, with those there are', async () => {
    const message = "no recurring job is named 'nightly'; there are: none";
    await assert.rejects(board.trigger('nightly'), { name: 'UserError', message });
    await processor(recurring('@yearly', 'AJob'), recurring('@yearly', 'BJob'));
    await isListed('BJob');
    const named = { name: 'UserError', message: "no recurring job is named 'nightly'; there are: AJob, BJob" };
    for (const act of ['trigger', 'pause', 'resume', 'forget'] as const)
      await assert.rejects(board[act]('nightly'), named);
    await board.forget('AJob');
    assert.deepEqual(
      (await board.list()).map((listing) => listing.name),
      ['BJob'],
    );
  });

  it('with changed times start from now; an old processor keeps off until it alone is left', async () => {
    const startsFromNow = async () => {
      const fresh = "select settled_until > now() - interval '1 day' as fresh from job_cron where name = 'TickJob'";
      return (await system.postgres.query(fresh))[0]?.fresh;
    };
    await sleptSince2023(system, recurring('@yearly'));
    await alter('missed = 5');
    await processor(recurring({ at: '0 0 1 1 *', timeZone: 'Europe/Berlin' }));
    await until('it is changed', async () => (await listed('TickJob')).timeZone === 'Europe/Berlin');
    assert.ok(await startsFromNow());
    await system.stopProcessors();

    const classes = [recurring('@yearly'), recurring('@yearly', 'OtherJob')];
    await system.processor(classes, { tuning: { cron: { pollMs: 20, refreshMs: 20 } } });
    await until('the last to start has it', async () => (await listed('TickJob')).spec === '@yearly');
    // A newer one comes, and tells of itself; the old one looks at the table again and again.
    await alter("spec = '0 0 1 1 *', refreshed_at = now(), settled_until = '2023-06-01'");
    for (let look = 0; look < 2; look++) {
      await alter("refreshed_at = '2023-06-01'", 'OtherJob');
      const refreshed = "select 1 from job_cron where name = 'OtherJob' and refreshed_at > '2024-01-01'";
      await until('the old one has written what it knows', async () => (await system.postgres.query(refreshed))[0]);
    }
    await alter("settled_until = '2023-06-01'", 'OtherJob');
    await hasRun('OtherJob');
    assert.deepEqual([(await listed('TickJob')).spec, ticksOf('TickJob')], ['0 0 1 1 *', []]);
    await alter("refreshed_at = now() - interval '4 minutes'");
    await until('nobody else knows it', async () => (await listed('TickJob')).spec === '@yearly');
    assert.ok(await startsFromNow());
    assert.equal((await listed('TickJob')).missed, 5);
  });

  it('whose times change between a look at them and their turn have no tick of the old ones', async () => {
    const gate = new Gate();
    class SlowJob extends Job {
      static override cron = '@yearly';
      override async beforeEnqueue(): Promise<void> {
        await gate.pass();
      }
      perform(): void {}
    }
    const classes = [SlowJob, recurring('@yearly'), recurring('@yearly', 'LastJob')];
    await sleptSince2023(system, ...classes);
    await processor(...classes);
    await until('one holds up the others', () => gate.held === 1);
    await alter("spec = '0 0 1 1 *'");
    gate.open();
    await until('all had their turn', () => enqueued().includes('LastJob'));
    assert.deepEqual(enqueued(), ['SlowJob', 'LastJob']);
  });

  it('whose classes are gone are marked after a day, and deleted after a week', async () => {
    const refreshed = (age: string) =>
      system.postgres.query("update job_cron set refreshed_at = now() - $1::interval where name = 'GoneJob'", [age]);
    await sleptSince2023(system, recurring('@yearly', 'GoneJob'));
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
    await sleptSince2023(system, jobClass);
    await alter("refreshed_at = now() - interval '30 days', missed = 3");
    await processor(jobClass);
    await until('it is caught up', () => ran.length === 1);
    assert.equal((await listed('TickJob')).missed, 3 + NEW_YEARS.length);
  });

  it('start anew where a wrong clock has settled the future', async () => {
    const jobClass = recurring('@yearly');
    await sleptSince2023(system, jobClass);
    await alter("settled_until = '2100-01-01'");
    await processor(jobClass);
    const settled = "select settled_until < now() + interval '1 minute' as now from job_cron";
    await until('it starts from now', async () => (await system.postgres.query(settled))[0]?.now);
  });

  it('that cannot be enqueued keep nobody else from it, and are tried again', async () => {
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
    await until('it is tried again', () => tries > 1);
    const errors = system.eventsNamed('cron.error');
    assert.deepEqual(
      errors.map(({ name, error }) => `${name}: ${error.message}`),
      ['BrokenJob: it will not do'],
      'the first in a row is told of',
    );
    broken = false;
    await until('it is enqueued', () => enqueued().includes('BrokenJob'));
  });

  it('are declined where the class is unique and its last run is still on its way', async () => {
    class UniqueJob extends Job {
      static override readonly cron = { at: '@yearly', catchUp: 'all' } as const;
      static override queue = 'nobody-serves-it';
      static override unique = true as const;
      perform(): void {}
    }
    await sleptSince2023(system, UniqueJob);
    await processor(UniqueJob);
    const declined = () => system.eventsNamed('cron.skipped').map(({ reason }) => reason);
    await until('all ticks but one are declined', () => declined().length === NEW_YEARS.length - 1);
    assert.deepEqual(new Set(declined()), new Set(['duplicate']));
    assert.deepEqual(enqueued(), ['UniqueJob']);
    assert.equal((await listed('UniqueJob')).lastEnqueuedId, system.eventsNamed('cron.enqueued')[0]?.id);
  });

  it('are enqueued while Redis is away, and run when it is back', async () => {
    await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20 } } });
    await isListed('TickJob');
    await system.redisServer.stop();
    await alter("settled_until = '2023-06-01'");
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
      await system.processor([recurring('@yearly')], { tuning: { cron: { pollMs: 20 } } });
      await isListed('TickJob');
      await admin.query(`alter database ${name} allow_connections false`);
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
      await until('it is missed', () => system.eventsNamed('cron.error').length > 0);
    } finally {
      await admin.query(`alter database ${name} allow_connections true`);
      await admin.end();
    }
    await alter("settled_until = '2023-06-01'");
    await hasRun('TickJob');
    const errors = system.eventsNamed('cron.error').length;
    assert.ok(errors <= 2, `${errors} errors`);
  });

  it('are left to others by a processor that is quiet, until it resumes', async () => {
    const [own, other] = [recurring('@yearly'), recurring('@yearly', 'OtherJob')];
    const one = await processor(own);
    await isListed('TickJob');
    one.quiet();
    await sleptSince2023(system, other);
    await alter("settled_until = '2023-06-01'");
    await processor(other);
    await hasRun('OtherJob');
    assert.deepEqual(enqueued(), ['OtherJob']);
    one.resume();
    await until('it goes on', () => enqueued().includes('TickJob'));
  });
});
