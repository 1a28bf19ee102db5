import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../lib/core/errors';
import { loadJobs } from '../../lib/job/job-registry';
import { removeFolder, tempFolder } from '../support/temp-folder';

const JOB = JSON.stringify(path.resolve(__dirname, '../../lib/job/job'));

describe('the registry', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('jobs');
  });
  afterEach(() => removeFolder(folder));

  const write = (name: string, body: string) =>
    fs.writeFileSync(path.join(folder, name), `import { Job } from ${JOB};\n${body}`);
  const job = (name: string, statics = '') => `export default class ${name} extends Job { ${statics} perform() {} }`;
  /** With an exit code by which the tree knows that another try cannot help. */
  const refuses = (file: string, reason: RegExp) =>
    assert.rejects(loadJobs(folder), (error) => {
      assert.ok(error instanceof UserError);
      assert.ok(error.message.includes(path.join(folder, file)), error.message);
      assert.match(error.message, reason);
      assert.equal(error.exitCode, EXIT.config);
      return true;
    });

  it('finds one job class in each file, by its name', async () => {
    write('welcome-email.ts', job('WelcomeEmailJob'));
    write('html-report.ts', job('HTMLReportJob'));
    write('old.ts', job('OldJob', "static override jobName = 'Older';"));
    fs.writeFileSync(path.join(folder, 'welcome-email.d.ts'), 'nonsense');
    fs.writeFileSync(path.join(folder, 'README.md'), 'text');
    fs.mkdirSync(path.join(folder, 'shared'));
    const registry = await loadJobs(folder);
    assert.deepEqual(
      [...registry].map((found) => found.name),
      ['HTMLReportJob', 'OldJob', 'WelcomeEmailJob'],
    );
    assert.equal(registry.get('Older')?.name, 'OldJob');
    assert.equal(registry.get('Nobody'), undefined);
  });

  it('finds jobs in subfolders, and ignores base classes that are exported there by name', async () => {
    fs.mkdirSync(path.join(folder, 'billing/cards'), { recursive: true });
    write(
      'billing/cards/charge-card.ts',
      `import { Payment } from '../base';\n${job('ChargeCardJob').replace('extends Job', 'extends Payment')}`,
    );
    write('billing/base.ts', 'export class Payment extends Job { perform() {} }');
    assert.deepEqual(
      [...(await loadJobs(folder))].map((found) => found.name),
      ['ChargeCardJob'],
    );
    write('billing/refund.ts', 'export class RefundJob extends Job { perform() {} }');
    await refuses('billing/refund.ts', /it exports RefundJob by name/);
  });

  it('is empty without a folder', async () => {
    assert.deepEqual([...(await loadJobs(path.join(folder, 'missing')))], []);
  });

  it('ignores helpers, tests, types and an index file', async () => {
    write('welcome-email.ts', job('WelcomeEmailJob'));
    write('text.ts', 'export const text = 1; export class Money {} export function enqueueJob() {}');
    write('settings.ts', 'export default { hours: 2 }');
    write('nothing.ts', '');
    write('welcome-email.test.ts', 'throw new Error("a test is not loaded")');
    write('welcome-email.spec.js', 'throw new Error("a test is not loaded")');
    write('types.d.ts', 'nonsense');
    write('index.ts', "export { default as WelcomeEmailJob } from './welcome-email'");
    assert.deepEqual(
      [...(await loadJobs(folder))].map((found) => found.name),
      ['WelcomeEmailJob'],
    );
  });

  it('refuses a class that looks like a job but does not extend Job', async () => {
    write('thing.ts', 'export default class ThingJob {}');
    await refuses('thing.ts', /ThingJob is no subclass of Job: let it extend Job, or name it otherwise/);
    write('other.js', 'module.exports = class { perform() {} };');
    await refuses('other.js', /a class with a perform method is no subclass of Job/);
  });

  it('refuses a name that does not end in Job', async () => {
    write('welcome.ts', job('Welcome'));
    await refuses('welcome.ts', /named Welcome; end the name in Job, such as WelcomeJob/);
  });

  it('refuses invalid static options by name', async () => {
    write('slow.ts', job('SlowJob', "static override timeout = 'soon' as '1s';"));
    await refuses('slow.ts', /SlowJob\.timeout is "soon"; give a length of time up to 24d, such as '5m'/);
    write('long.ts', job('LongJob', "static override timeout = '30d' as const;"));
    await refuses('long.ts', /LongJob\.timeout is "30d"/);
    write('few.ts', job('FewJob', 'static override retry = { limit: -1 };'));
    await refuses('few.ts', /FewJob\.retry: limit is -1; give a number of retries/);
    write('alone.ts', job('AloneJob', "static override unique = { until: 'done' };"));
    await refuses('alone.ts', /AloneJob: unique\.until is "done"; give 'executed' or 'executing'/);
    write('all.ts', job('AllJob', "static override unique = 'yes' as never;"));
    await refuses('all.ts', /AllJob: unique is "yes"; give true, or options/);
    write('able.ts', job('AbleJob', 'static override readonly limit = { count: 0 };'));
    await refuses('able.ts', /AbleJob: limit is \{"count":0\}; let count be a whole number from 1/);
    write('aa.ts', job('AaJob', 'static override readonly limit = { count: 1.5 };'));
    await refuses('aa.ts', /AaJob: limit is \{"count":1.5\}; /);
    write('a.ts', job('AJob', "static override queue = 'my queue';"));
    await refuses('a.ts', /AJob: queue is "my queue"; use letters, digits, - and _/);
  });

  it('refuses a file that cannot be loaded, by name', async () => {
    write('broken.ts', 'throw new Error("boom")');
    await refuses('broken.ts', /boom/);
  });
});
