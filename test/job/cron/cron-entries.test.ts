import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { UserError } from '../../../lib/core/errors';
import { cronEntries } from '../../../lib/job/cron/schedule';
import type { JobClass } from '../../../lib/job/definition/job-class';
import { Job } from '../../../lib/job/job';

/** A class with this `static cron`. */
function jobClass(cron: unknown, jobName = 'ReportJob'): JobClass {
  return class extends Job<[name?: string]> {
    static override jobName = jobName;
    static override cron = cron as string;
    perform(): void {}
  };
}

const entries = (...classes: JobClass[]) =>
  cronEntries(classes).map(({ name, spec, timeZone, policy, args }) => ({ name, spec, timeZone, policy, args }));

describe('static cron', () => {
  it('is an expression, an expression with options, or several', () => {
    const report = {
      at: '0 3 * * *',
      timeZone: 'Europe/Berlin',
      catchUp: 'all',
      args: ['x', { y: 1 }],
      name: 'nightly',
    };
    assert.deepEqual(entries(jobClass('0 3 * * *')), [
      { name: 'ReportJob', spec: '0 3 * * *', timeZone: 'UTC', policy: 'once', args: [] },
    ]);
    assert.deepEqual(entries(jobClass(report)), [
      { name: 'nightly', spec: '0 3 * * *', timeZone: 'Europe/Berlin', policy: 'all', args: ['x', { y: 1 }] },
    ]);
    assert.deepEqual(
      entries(jobClass([{ at: '@daily' }, report]), jobClass('* * * * *', 'OtherJob')).map((entry) => entry.name),
      ['ReportJob', 'nightly', 'OtherJob'],
    );
    assert.deepEqual(entries(jobClass(undefined), jobClass([])), []);
  });

  const refused: readonly [string, unknown, RegExp][] = [
    [
      'an expression out of range',
      '61 * * * *',
      /^ReportJob: cron is '61 \* \* \* \*': Invalid value for minute: 61 \(/,
    ],
    [
      'an unknown time zone',
      { at: '@daily', timeZone: 'Berlin' },
      /^ReportJob: timeZone is 'Berlin'; give an IANA name/,
    ],
    [
      'an unknown policy',
      { at: '@daily', catchUp: 'some' },
      /^ReportJob: catchUp of cron '@daily' is "some"; give skip, once, all$/,
    ],
    [
      'a ping that is no URL of the web',
      { at: '@daily', ping: 'hc-ping.com/1' },
      /^ReportJob: ping of cron '@daily' is "hc-ping\.com\/1"; give an https:\/\/ or http:\/\/ URL$/,
    ],
    [
      'args that are not an array',
      { at: '@daily', args: 'x' },
      /^ReportJob: args of cron '@daily' is "x"; give an array/,
    ],
    [
      'args that JSON cannot carry',
      { at: '@daily', args: [1, () => 1] },
      /^ReportJob: cron '@daily': argument 2 is a function/,
    ],
    ['a name with spaces', { at: '@daily', name: 'at night' }, /^ReportJob: name of cron '@daily' is "at night"; give/],
    ['an object without an expression', { every: 5 }, /^ReportJob: cron is \{"every":5\}; give text such as/],
    [
      'two entries of one class with the same name',
      [{ at: '@daily' }, { at: '@hourly' }],
      /^ReportJob: two entries of its cron are named ReportJob; give one of them another name$/,
    ],
  ];
  for (const [what, cron, message] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => entries(jobClass(cron)),
        (error: Error) => (error instanceof UserError && message.test(error.message)) || assert.fail(error.message),
      );
    });
  }

  it('refuses the same name in two classes', () => {
    assert.throws(() => entries(jobClass('@daily'), jobClass({ at: '@daily', name: 'ReportJob' }, 'OtherJob')), {
      message: 'ReportJob and OtherJob: both have a cron named ReportJob; give one of them another name',
    });
  });

  it('loads the cron library only if a class needs it', () => {
    const code = `
      const { cronEntries } = require('./lib/job/cron/schedule');
      require('./lib/job/cron/cron-service');
      require('./lib/job/cron/cron-table');
      const isLoaded = () => Object.keys(require.cache).some((file) => file.includes('croner'));
      cronEntries([class PlainJob {}]);
      const before = isLoaded();
      cronEntries([class ReportJob { static cron = '@daily'; }]);
      console.log(before, isLoaded());`;
    const told = execFileSync(process.execPath, ['--import', 'tsx', '-e', code], { encoding: 'utf8' });
    assert.equal(told.trim(), 'false true');
  });
});
