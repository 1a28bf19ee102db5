import assert from 'node:assert/strict';
import { Cron } from '../../../lib/job/cron/run-time-cron';
import type { JobClass } from '../../../lib/job/definition/job-class';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, recurring } from './cron-stage';

/** The arguments of each run. */
const ran: unknown[][] = [];

class ReportJob extends Job<[customer: string, since: Date]> {
  perform(...args: unknown[]): void {
    ran.push(args);
  }
}

const SINCE = new Date('2026-01-02T03:04:05.678Z');

describe('recurring jobs that are declared at run time', () => {
  const system = useJobSystem({ empty: [ran] });

  const upsert = (at: string, customer = 'ada') =>
    Cron.upsert(`report-${customer}`, { class: ReportJob, at, args: [customer, SINCE] });
  const hasRun = (customer: string) => until(`${customer}'s has run`, () => ran.some(([name]) => name === customer));
  const named = async (name: string) => (await Cron.list()).find((listing) => listing.name === name);

  it('run at once in each processor that has the class, with their arguments', async () => {
    await system.processor([ReportJob]);
    await upsert(EVERY_SECOND);
    await hasRun('ada');
    assert.deepEqual(ran[0], ['ada', SINCE]);
    const found = await named('report-ada');
    assert.deepEqual([found?.class, found?.runTime, found?.known], ['ReportJob', true, true]);
  });

  it('change at once: other arguments, and none after the removal', async () => {
    await system.processor([ReportJob]);
    await upsert(EVERY_SECOND);
    await hasRun('ada');
    await Cron.upsert('report-ada', { class: ReportJob, at: EVERY_SECOND, args: ['bob', SINCE] });
    await hasRun('bob');
    assert.deepEqual([await Cron.remove('report-ada'), await Cron.remove('report-ada')], [true, false]);
    assert.equal(await named('report-ada'), undefined);
  });

  it('are part of the transaction', async () => {
    await system.processor([ReportJob]);
    const rolledBack = transaction(async () => {
      await upsert(EVERY_SECOND, 'nobody');
      throw new Error('on purpose');
    });
    await assert.rejects(rolledBack, /on purpose/);
    assert.equal(await named('report-nobody'), undefined);
    await transaction(() => upsert(EVERY_SECOND));
    await hasRun('ada');
  });

  it('stay while no processor runs, and wait for one that has the class', async () => {
    await upsert(EVERY_SECOND);
    await system.postgres.query(`insert into job_cron (name, class, spec, time_zone, catch_up, refreshed_at)
      values ('gone', 'Gone', '@daily', 'UTC', 'once', now() - interval '8 days')`);
    await system.processor([recurring('@yearly')]);
    await until('it is reported', () => system.eventsNamed('cron.error').some(({ name }) => name === 'report-ada'));
    assert.equal(await named('gone'), undefined);
    await system.processor([ReportJob]);
    await hasRun('ada');
  });

  it('cannot take the name that a class declares, which in turn takes theirs', async () => {
    await upsert('@yearly');
    const declared: JobClass = recurring({ at: '@daily', name: 'report-ada' });
    await system.processor([declared]);
    await until('the class has taken it', async () => (await named('report-ada'))?.runTime === false);
    await assert.rejects(upsert('@yearly'), /report-ada/);
    assert.equal(await Cron.remove('report-ada'), false);
  });

  const REFUSED: readonly (readonly [string, object, RegExp])[] = [
    ['report', { at: '61 * * * *' }, /61/],
    ['report', { at: '@daily', timeZone: 'Mars' }, /Mars/],
    ['report', { at: '@daily', catchUp: 'never' }, /never/],
    ['two words', { at: '@daily' }, /two words/],
    ['report', {}, /at of report is undefined/],
    ['report', { at: '@daily', class: undefined }, /class/],
    ['report', { at: '@daily', args: [() => 1, SINCE] }, /argument 1 is a function/],
  ];
  for (const [name, options, message] of REFUSED) {
    it(`rejects ${JSON.stringify(options)} as ${name}`, async () => {
      const given: object = { class: ReportJob, args: ['ada', SINCE], ...options };
      await assert.rejects(Cron.upsert(name, given as Parameters<typeof Cron.upsert>[1]), message);
      assert.equal(await named(name), undefined);
    });
  }
});
