import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { Typist } from './typist';

let ran = 0;

class ReportJob extends Job {
  static override cron = [{ at: '0 3 1 1 *', timeZone: 'Asia/Seoul', name: 'yearly-report' }] as const;

  perform(): void {
    ran++;
  }
}

describe('jobs cron', () => {
  let typist: Typist;
  const system = useJobSystem(async () => {
    await system.postgres.query('truncate job_cron');
    ran = 0;
  });
  before(() => {
    typist = new Typist(system, [ReportJob], { via: 'cli:ada' });
  });

  it('lists recurring jobs, and pauses, triggers, resumes and forgets one', async () => {
    await system.processor([ReportJob]);
    await until(
      'the recurring job is listed',
      async () => ((await typist.type('cron')).json.cron as unknown[]).length === 1,
    );
    const { text, json } = await typist.type('cron list');
    assert.match(text, /^name +times +zone +next +last +missed +caught up +state\n/);
    assert.match(text, /\nyearly-report {2}0 3 1 1 \* {2}Asia\/Seoul {2}in \d+ [hd] +– +0 +0 {2}open\n$/);
    const [listed] = json.cron as readonly Record<string, unknown>[];
    assert.deepEqual([listed?.class, listed?.time_zone, listed?.paused], ['ReportJob', 'Asia/Seoul', false]);
    assert.equal((await typist.type('cron pause yearly-report')).text, 'yearly-report is paused.\n');
    assert.match((await typist.type('cron')).text, / – +– +0 +0 {2}paused\n$/);
    assert.match(
      (await typist.type('cron trigger yearly-report')).text,
      /^yearly-report will be enqueued by a job processor/,
    );
    await until('the paused job has run once', () => ran === 1);
    await typist.type('cron resume yearly-report');
    assert.match((await typist.type('cron')).text, / {2}open\n$/);
    await system.stopProcessors();
    await typist.type('cron forget yearly-report');
    assert.deepEqual((await typist.type('cron')).json, { cron: [] });
    assert.deepEqual(
      system.eventsNamed('operator.cron'),
      (['pause', 'trigger', 'resume', 'forget'] as const).map((action) => ({
        action,
        name: 'yearly-report',
        via: 'cli:ada',
      })),
    );
  });
});
