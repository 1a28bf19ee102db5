import assert from 'node:assert/strict';
import { currentContext } from '../../lib/core/execution-context';
import { Job } from '../../lib/job/job';
import {
  assertEnqueued,
  assertEnqueuedJobs,
  assertNoEnqueued,
  enqueueCronJobs,
  performEnqueuedJobs,
  type TestJobs,
  travel,
  travelBack,
  travelTo,
  useFakeJobs,
} from '../../lib/testing';

const log: unknown[] = [];

class ReportJob extends Job<[kind: string]> {
  static override cron = [
    { at: '0 3 * * *', timeZone: 'Asia/Seoul', args: ['daily'], name: 'daily' },
    { at: '*/10 * * * *', args: ['often'], name: 'often', catchUp: 'all' },
    { at: '30 * * * *', args: ['punctual'], name: 'punctual', catchUp: 'skip' },
  ] as const;

  perform(kind: string) {
    log.push([kind, currentContext().attributes?.scheduledFor]);
  }
}

class PlainJob extends Job {
  perform() {}
}

describe('recurring jobs in a test', () => {
  let jobs: TestJobs;
  beforeEach(async () => {
    log.length = 0;
    jobs = await useFakeJobs();
  });
  afterEach(async () => {
    travelBack();
    await jobs.restore();
  });

  it('are enqueued when they are due', async () => {
    travelTo('2030-01-01T17:55:00Z');
    assert.deepEqual(await enqueueCronJobs(ReportJob), []);
    assertNoEnqueued();
    travel('5m');
    const enqueued = await enqueueCronJobs([ReportJob, PlainJob]);
    assert.equal(enqueued.length, 2);
    assertEnqueued(ReportJob, { args: ['daily'], times: 1 });
    assertEnqueued(ReportJob, { args: ['often'], times: 1 });
    await performEnqueuedJobs();
    assert.deepEqual(log, [
      ['daily', '2030-01-01T18:00:00.000Z'],
      ['often', '2030-01-01T18:00:00.000Z'],
    ]);
    assert.deepEqual(await enqueueCronJobs(ReportJob), [], 'each tick once');
  });

  it('are caught up according to their policy', async () => {
    travelTo('2030-01-01T00:00:00Z');
    await enqueueCronJobs(ReportJob, { since: new Date('2029-12-31T22:00:00Z') });
    assertEnqueued(ReportJob, { args: ['often'], times: 12 });
    assertEnqueuedJobs(12);
    travelTo('2030-01-01T00:30:30Z');
    await enqueueCronJobs(ReportJob);
    assertEnqueued(ReportJob, { args: ['punctual'], times: 1 });
    assertEnqueued(ReportJob, { args: ['often'], times: 15 });
    travel('2885m');
    await enqueueCronJobs(ReportJob);
    assertEnqueued(ReportJob, { args: ['daily'], times: 1 });
    assertEnqueued(ReportJob, { args: ['punctual'], times: 1 });
  });

  it('must have a schedule', async () => {
    await assert.rejects(enqueueCronJobs(PlainJob), /none of these classes has a static cron/);
  });
});
