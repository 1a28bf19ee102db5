import assert from 'node:assert/strict';
import { JobTimeoutError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { findJob } from '../../../lib/job/sets/find-job';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

const gate = new Gate();
const ran: string[] = [];

class AbortableJob extends Job {
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

class UnabortableJob extends Job<[end: 'well' | 'badly']> {
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

describe('the timeout of a job', () => {
  const system = useJobSystem({ gate, empty: [ran] });

  const retrying = () => until('the job will be retried', () => system.eventsNamed('job.retrying')[0]);

  it('aborts the signal and fails the run, which is retried like any other', async () => {
    await system.processor([AbortableJob]);
    const { id } = await AbortableJob.performLater();
    const { error, waitMs } = await retrying();
    assert.ok(error instanceof JobTimeoutError);
    assert.equal(error.message, 'AbortableJob did not end within its timeout of 60 ms');
    assert.ok(waitMs >= 15_000);
    const { entry } = await until('the failure is recorded', async () => {
      const found = await findJob(system.database.knex, id);
      return found.place === 'retry' && found;
    });
    assert.match(entry?.errors[0]?.stack ?? '', /^JobTimeoutError: AbortableJob/);
  });

  it('is the error to which rules apply, with the error of perform as its cause', async () => {
    await system.processor([WrappingJob]);
    await WrappingJob.performLater();
    const { error } = await until('the job is discarded', () => system.eventsNamed('job.discarded')[0]);
    assert.ok(error instanceof JobTimeoutError && error.cause instanceof Error);
    assert.equal(error.cause.message, 'the work was cut short');
  });

  it('leaves the permit to a job that ignores it, and reports that once', async () => {
    await system.processor([UnabortableJob, QuickJob], { jobs: { concurrency: 1 }, tuning: { graceMs: 30 } });
    const { id } = await UnabortableJob.performLater('badly');
    await QuickJob.performLater();
    const overdue = await until('the ignored timeout is reported', () => system.eventsNamed('job.timeout-ignored')[0]);
    assert.deepEqual([overdue.id, overdue.class, overdue.queue], [id, 'UnabortableJob', 'default']);
    assert.ok(overdue.ageMs >= 89);
    assert.deepEqual(ran, ['badly'], 'the other job has not begun');
    gate.open();
    assert.ok((await retrying()).error instanceof JobTimeoutError);
    await until('the other job has run', () => ran.includes('quick'));
    assert.equal(system.eventsNamed('job.timeout-ignored').length, 1);
  });

  it('has no effect when the job succeeds after all', async () => {
    await system.processor([UnabortableJob], { tuning: { graceMs: 30 } });
    await UnabortableJob.performLater('well');
    await until('the ignored timeout is reported', () => system.eventsNamed('job.timeout-ignored')[0]);
    gate.open();
    await until('the job has succeeded', () => system.eventsNamed('job.succeeded')[0]);
    assert.equal(system.eventsNamed('job.retrying').length, 0);
  });

  it('applies to performNow', async () => {
    await assert.rejects(AbortableJob.performNow(), JobTimeoutError);
  });

  it('leaves no timer behind', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    for (let i = 0; i < 50; i++) await QuickJob.performNow();
    // Others may have set some timers meanwhile.
    await until('the timers of the runs are gone', () => timers() < before + 25);
  });
});
