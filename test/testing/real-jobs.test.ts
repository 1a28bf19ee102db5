import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import {
  assertEnqueued,
  assertNoEnqueued,
  assertPerformed,
  performEnqueuedJobs,
  type RealOptions,
  type TestDatabase,
  type TestJobs,
  travelBack,
  travelTo,
  useRealJobs,
  useTestDatabase,
} from '../../lib/testing';
import { type TestDatabase as Created, createDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { until } from '../support/until';

const log: unknown[] = [];

class WorkJob extends Job<[what: string]> {
  perform(what: string) {
    log.push(what);
    if (what === 'fail') throw new RangeError('as asked');
  }
}

class StuckJob extends Job {
  static override retry = { limit: 0 };

  async perform() {
    log.push('stuck');
    const { signal } = this.context;
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }
}

class TickingJob extends Job {
  static override cron = '* * * * * *';

  perform() {
    log.push('tick');
  }
}

class CrowdJob extends Job {
  static running = 0;
  static most = 0;

  async perform() {
    CrowdJob.running += 1;
    CrowdJob.most = Math.max(CrowdJob.most, CrowdJob.running);
    await until('three jobs have run at the same time', () => CrowdJob.most === 3);
    CrowdJob.running -= 1;
  }
}

describe('real jobs', () => {
  let created: Created;
  let redis: TestRedis;
  let database: TestDatabase;
  let jobs: TestJobs;

  before(async () => {
    created = await createDatabase({ migrated: ['lib/job/migrations'] });
    redis = await startTestRedis();
    database = await useTestDatabase({ url: created.url });
  });
  after(async () => {
    await database.close();
    await redis.remove();
    await created.drop();
  });
  beforeEach(() => {
    log.length = 0;
  });
  afterEach(async () => {
    travelBack();
    await jobs.restore();
    await database.rollBack();
  });

  const use = async (options: Partial<RealOptions> = {}) => {
    jobs = await useRealJobs({ database, redisUrl: redis.url, timeoutMs: 600_000, ...options });
  };
  const rows = () => created.query('select class from job_queue order by created_at');

  it('that are left over are removed', async () => {
    await use();
    await WorkJob.performLater('waiting');
    await WorkJob.set({ wait: '1h' }).performLater('later');
    await WorkJob.performLater('fail');
    await performEnqueuedJobs({ retries: 'due', queue: 'default' });
    await StuckJob.performLater();
    await WorkJob.set({ queue: 'elsewhere' }).performLater('waiting');
    await jobs.restore();
    assert.deepEqual(await rows(), []);
    await use();
    log.length = 0;
    await WorkJob.performLater('fresh');
    await WorkJob.set({ queue: 'elsewhere' }).performLater('fresh there');
    await travelTo(new Date(Date.now() + 7_200_000), () => performEnqueuedJobs());
    assert.deepEqual(log.sort(), ['fresh', 'fresh there']);
  });

  it('cannot be selected by class, since a processor takes the next one', async () => {
    await use();
    await assert.rejects(performEnqueuedJobs({ only: WorkJob }), /leave out only and except/);
  });

  it('can run concurrently', async () => {
    await use({ concurrency: 3 });
    await CrowdJob.performAllLater(Array.from({ length: 12 }, () => []));
    await performEnqueuedJobs();
    assertPerformed(CrowdJob, { times: 12 });
    assert.equal(CrowdJob.most, 3);
  });

  it('are not waited for longer than timeoutMs', async () => {
    await use({ timeoutMs: 200 });
    await StuckJob.performLater();
    await assert.rejects(
      performEnqueuedJobs(),
      /the jobs did not end within 200 ms\nLeft:\n {2}StuckJob\(\) on default/,
    );
  });

  it('are retried when they are due by the clock of the test, which stands still', async () => {
    await use();
    travelTo('2031-01-01');
    await WorkJob.performLater('fail');
    await performEnqueuedJobs({ retries: 'due' });
    const [waiting] = assertEnqueued(WorkJob);
    assert.equal(waiting?.at?.getUTCFullYear(), 2031);
    await assert.rejects(performEnqueuedJobs({ retries: 'never', at: new Date('2031-01-01T01:00') }), RangeError);
    assert.deepEqual(log, ['fail', 'fail']);
  });

  it('do not schedule the recurring jobs of their classes', async () => {
    await use();
    await TickingJob.performLater();
    await performEnqueuedJobs();
    assert.deepEqual(log, ['tick']);
    assert.deepEqual(await created.query('select * from job_cron'), []);
  });

  it('are rejected within a transaction that never commits', async () => {
    await use();
    await database.begin();
    await WorkJob.performLater('unseen');
    await assert.rejects(performEnqueuedJobs(), /use fake or inline jobs/);
  });

  it('need unique class names', async () => {
    await use();
    const Other = {
      WorkJob: class WorkJob extends Job {
        perform() {}
      },
    }.WorkJob;
    await WorkJob.performLater('mine');
    await assert.rejects(Other.performLater(), /two job classes are named WorkJob/);
    assertEnqueued(WorkJob, { times: 1 });
  });

  it('need a Redis that answers', async () => {
    await use();
    await assert.rejects(
      useRealJobs({ database, redisUrl: 'redis://127.0.0.1:1' }),
      /Redis does not answer at 127.0.0.1:1: connect ECONNREFUSED/,
    );
    await WorkJob.performLater('all the same');
    await jobs.clear();
    assertNoEnqueued();
    await performEnqueuedJobs();
    assert.deepEqual(log, []);
  });
});
