import assert from 'node:assert/strict';
import { JobTimeoutError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const gate = new Gate();
const ran: string[] = [];

class HeedingJob extends Job {
  static override timeout = '60ms' as const;

  async perform(): Promise<void> {
    await gate.pass(this.context.signal);
  }
}

class WrappingJob extends Job {
  static override timeout = 60;

  static {
    this.discardOn(JobTimeoutError);
  }

  async perform(): Promise<void> {
    await gate.pass(this.context.signal).catch((cause: unknown) => {
      throw new Error('the work was cut short', { cause });
    });
  }
}

class DeafJob extends Job<[end: 'well' | 'badly']> {
  static override timeout = '60ms' as const;

  async perform(end: 'well' | 'badly'): Promise<void> {
    ran.push(end);
    await gate.pass();
    if (end === 'badly') throw new Error('something else');
  }
}

class QuickJob extends Job {
  static override timeout = '10m' as const;

  perform(): void {
    ran.push('quick');
  }
}

describe('timeout', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(async () => {
    gate.open();
    await system.stop();
  });
  beforeEach(async () => {
    gate.close();
    await system.reset();
    ran.length = 0;
  });

  const retrying = () => until('it retries', () => system.eventsNamed('job.retrying')[0]);

  it('aborts the signal; the run has failed then, and is tried again as any other', async () => {
    await system.processor([HeedingJob]);
    const { id } = await HeedingJob.performLater();
    const { error, waitMs } = await retrying();
    assert.ok(error instanceof JobTimeoutError);
    assert.equal(error.message, 'HeedingJob did not end within its timeout of 60 ms');
    assert.ok(waitMs >= 15_000);
    const { options } = JSON.parse((await system.redis.client.hGet('bq:default:jobs', id)) ?? '');
    assert.match(options.stacktraces[0], /^JobTimeoutError: HeedingJob/);
  });

  it('is the failure whatever the handler rejects with, which is its cause; rules can be about it', async () => {
    await system.processor([WrappingJob]);
    await WrappingJob.performLater();
    const { error } = await until('it is discarded', () => system.eventsNamed('job.discarded')[0]);
    assert.ok(error instanceof JobTimeoutError && error.cause instanceof Error);
    assert.equal(error.cause.message, 'the work was cut short');
  });

  it('keeps the slot of a handler that does not heed it, and says so once', async () => {
    await system.processor([DeafJob, QuickJob], { jobs: { concurrency: 1 }, tuning: { graceMs: 30 } });
    const { id } = await DeafJob.performLater('badly');
    await QuickJob.performLater();
    const overdue = await until('it is overdue', () => system.eventsNamed('job.timeout-ignored')[0]);
    assert.deepEqual([overdue.id, overdue.class, overdue.queue], [id, 'DeafJob', 'default']);
    assert.ok(overdue.ageMs >= 89);
    assert.deepEqual(ran, ['badly'], 'nothing else has begun');
    gate.open();
    assert.ok((await retrying()).error instanceof JobTimeoutError);
    await until('the next has run', () => ran.includes('quick'));
    assert.equal(system.eventsNamed('job.timeout-ignored').length, 1);
  });

  it('counts for nothing when the handler ends well after all', async () => {
    await system.processor([DeafJob], { tuning: { graceMs: 30 } });
    await DeafJob.performLater('well');
    await until('it is overdue', () => system.eventsNamed('job.timeout-ignored')[0]);
    gate.open();
    await until('it succeeded', () => system.eventsNamed('job.succeeded')[0]);
    assert.equal(system.eventsNamed('job.retrying').length, 0);
  });

  it('holds for performNow', async () => {
    await assert.rejects(HeedingJob.performNow(), JobTimeoutError);
  });

  it('leaves no timer behind', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    for (let i = 0; i < 50; i++) await QuickJob.performNow();
    // Some of others may have come meanwhile.
    await until('those of the runs are gone', () => timers() < before + 25);
  });
});
