import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { CommandLine } from './command-line';

let ran = 0;

class ReportJob extends Job {
  static override cron = [{ at: '0 3 1 1 *', timeZone: 'Asia/Seoul', name: 'yearly-report' }] as const;

  perform(): void {
    ran++;
  }
}

describe('jobs cron', () => {
  const system = useJobSystem({
    reset: () => {
      ran = 0;
    },
  });
  const commandLine = inSuite(undefined, () => new CommandLine(system, [ReportJob], { via: 'cli:ada' }));

  it('lists recurring jobs, and pauses, triggers, resumes and forgets one', async () => {
    await system.processor([ReportJob]);
    await until(
      'the recurring job is listed',
      async () => ((await commandLine.run('cron')).json.cron as unknown[]).length === 1,
    );
    const { text, json } = await commandLine.run('cron list');
    assert.match(text, /^name +times +zone +next +last +missed +caught up +state\n/);
    assert.match(text, /\nyearly-report {2}0 3 1 1 \* {2}Asia\/Seoul {2}in \d+ [hd] +– +0 +0 {2}open\n$/);
    const [listed] = json.cron as readonly Record<string, unknown>[];
    assert.deepEqual([listed?.class, listed?.time_zone, listed?.paused], ['ReportJob', 'Asia/Seoul', false]);
    assert.equal((await commandLine.run('cron pause yearly-report')).text, 'yearly-report is paused.\n');
    assert.match((await commandLine.run('cron')).text, / – +– +0 +0 {2}paused\n$/);
    assert.match(
      (await commandLine.run('cron trigger yearly-report')).text,
      /^yearly-report will be enqueued by a job processor/,
    );
    await until('the paused job has run once', () => ran === 1);
    await commandLine.run('cron resume yearly-report');
    assert.match((await commandLine.run('cron')).text, / {2}open\n$/);
    await system.stopProcessors();
    await commandLine.run('cron forget yearly-report');
    assert.deepEqual((await commandLine.run('cron')).json, { cron: [] });
    assert.deepEqual(
      system.eventsNamed('operator.cron'),
      (['pause', 'trigger', 'resume', 'forget'] as const).map((action) => ({
        action,
        name: 'yearly-report',
        via: 'cli:ada',
      })),
    );
  });

  it('declares one at run time, and changes it', async () => {
    await commandLine.run('cron upsert hourly ReportJob @hourly');
    await commandLine.run('cron upsert hourly ReportJob @daily [] --time-zone Asia/Seoul');
    const [listed, ...others] = (await commandLine.run('cron')).json.cron as readonly Record<string, unknown>[];
    assert.deepEqual(
      [listed?.name, listed?.spec, listed?.time_zone, listed?.run_time, others.length],
      ['hourly', '@daily', 'Asia/Seoul', true, 0],
    );
    await assert.rejects(commandLine.run('cron upsert hourly NoJob @daily'), /NoJob/);
    await commandLine.run('cron forget hourly');
    assert.deepEqual((await commandLine.run('cron')).json, { cron: [] });
  });
});
