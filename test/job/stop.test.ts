import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import type { ProcessorTuning } from '../../lib/job/processor';
import { transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const ran: string[] = [];

class UnabortableJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    ran.push(`${name} ${this.context.attempt}`);
    await gate.pass();
  }
}

class AbortableJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    ran.push(`${name} ${this.context.attempt}`);
    await gate.pass(this.context.signal);
  }
}

/** Ends without an error when its signal is aborted. */
class TidyJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    ran.push(`${name} ${this.context.attempt}`);
    await gate.pass(this.context.signal).catch(() => undefined);
  }
}

/** Jobs are aborted soon; all other times are long. */
const SOON: ProcessorTuning = { stop: { runningJobsMs: 20, abortedJobsMs: 20, outcomesMs: 10_000 } };
const IN_TIME = 30_000;
const CLASSES = [UnabortableJob, AbortableJob, TidyJob];

describe('a job processor that stops', () => {
  const system = useJobSystem({ gate, empty: [ran] });

  const lengths = async () => {
    const [row] = await system.postgres.query<{ waiting: number; active: number; delayed: number }>(
      `select count(*) filter (where state = 'ready')::int as waiting, count(*) filter (where state = 'running')::int as active,
         count(*) filter (where state = 'scheduled')::int as delayed from job_queue`,
    );
    return row;
  };

  it('reports no waiting jobs, since they now wait for another processor', async () => {
    const processor = await system.processor([UnabortableJob], { tuning: { infoMs: 20 } });
    for (const name of ['first', 'second', 'third']) await UnabortableJob.performLater(name);
    await until('the third job has no permit', () => gate.held === 2);
    await until('the processor reports that the third job waits', () =>
      processor.waiting.some(({ queue }) => queue === 'default'),
    );
    const stopped = processor.stop(Deadline.after(IN_TIME));
    assert.deepEqual(processor.waiting, []);
    gate.open();
    await stopped;
    assert.deepEqual(await lengths(), { waiting: 1, active: 0, delayed: 0 });
  });

  it('lets running jobs finish, and fetches no others, even if it is resumed', async () => {
    const processor = await system.processor(CLASSES);
    await transaction(() => UnabortableJob.performLater('slow'));
    await until('the job is running', () => gate.held === 1);
    const stopped = processor.stop(Deadline.after(IN_TIME));
    processor.resume();
    await UnabortableJob.performLater('behind');
    gate.open();
    await stopped;
    assert.equal(system.eventsNamed('job.succeeded').length, 1);
    assert.deepEqual(await lengths(), { waiting: 1, active: 0, delayed: 0 }, 'its row is deleted');
  });

  it('releases late jobs to the head of their queue, without counting an attempt or a delivery', async () => {
    const processor = await system.processor(CLASSES, { tuning: SOON });
    await UnabortableJob.performLater('unabortable');
    await AbortableJob.performLater('abortable');
    await until('both jobs are running', () => gate.held === 2);
    await UnabortableJob.performLater('behind');
    await Promise.all([processor.stop(Deadline.after(IN_TIME)), processor.stop(Deadline.after(IN_TIME))]);
    const released = system.eventsNamed('job.released').map((event) => event.class);
    assert.deepEqual(released.sort(), ['AbortableJob', 'UnabortableJob']);
    assert.equal(system.eventsNamed('job.retrying').length, 0);
    assert.deepEqual(await lengths(), { waiting: 3, active: 0, delayed: 0 });
    const counted = await system.postgres.query('select 1 from job_queue where deliveries > 0');
    assert.deepEqual(counted, []);
    gate.open();
    await system.processor(CLASSES, { jobs: { concurrency: 1 } });
    await until('all jobs have run', () => system.eventsNamed('job.succeeded').length === 3);
    assert.deepEqual(ran.slice(0, 2).sort(), ['abortable 1', 'unabortable 1']);
    assert.deepEqual(ran.slice(2, 4).sort(), ['abortable 1', 'unabortable 1'], 'the released jobs run first');
    assert.equal(ran[4], 'behind 1');
  });

  it('counts the deliveries of late jobs after an uncaught error that names none of them', async () => {
    const processor = await system.processor(CLASSES, { tuning: SOON });
    await UnabortableJob.performLater('unabortable');
    await AbortableJob.performLater('abortable');
    await until('both jobs are running', () => gate.held === 2);
    assert.equal(processor.failRunBehind(new Error('of an emitter made at boot')), 'unknown');
    await processor.stop(Deadline.after(IN_TIME));
    const counted = await system.postgres.query(`select deliveries from job_queue where state = 'ready'`);
    assert.deepEqual(counted, [{ deliveries: 1 }, { deliveries: 1 }]);
  });

  it('releases a job that returns after its signal was aborted, since that may not be its real end', async () => {
    const processor = await system.processor(CLASSES, { tuning: SOON });
    await transaction(() => TidyJob.performLater('tidy'));
    await until('the job is running', () => gate.held === 1);
    await processor.stop(Deadline.after(IN_TIME));
    assert.equal(system.eventsNamed('job.released').length, 1);
    assert.equal(system.eventsNamed('job.succeeded').length, 0);
    gate.open();
    await system.processor(CLASSES);
    await until('the job has run again, to its end', () => system.eventsNamed('job.succeeded').length === 1);
    assert.deepEqual(ran, ['tidy 1', 'tidy 1']);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });

  it('completes a job that ends after the abort and never read its signal', async () => {
    const patient = { stop: { ...SOON.stop, abortedJobsMs: IN_TIME } };
    const processor = await system.processor(CLASSES, { tuning: patient });
    await UnabortableJob.performLater('unabortable');
    await AbortableJob.performLater('abortable');
    await until('both jobs are running', () => gate.held === 2);
    const stopped = processor.stop(Deadline.after(3 * IN_TIME));
    await until('one job is aborted', () => gate.held === 1);
    gate.open();
    await stopped;
    assert.deepEqual([system.eventsNamed('job.succeeded').length, system.eventsNamed('job.released').length], [1, 1]);
  });

  it('releases jobs even when its deadline has passed', async () => {
    const tuning = { stop: { ...SOON.stop, leastMs: IN_TIME } };
    const processor = await system.processor(CLASSES, { tuning });
    await UnabortableJob.performLater('unabortable');
    await until('the job is running', () => gate.held === 1);
    await processor.stop(Deadline.after(0));
    assert.deepEqual(await lengths(), { waiting: 1, active: 0, delayed: 0 });
  });

  it('records outcomes while Redis is down', async () => {
    const processor = await system.processor(CLASSES, { tuning: SOON });
    await UnabortableJob.performLater('unabortable');
    await until('the job is running', () => gate.held === 1);
    await system.redisServer.kill();
    await processor.stop(Deadline.after(IN_TIME));
    assert.equal(system.eventsNamed('job.released').length, 1);
    assert.deepEqual(await lengths(), { waiting: 1, active: 0, delayed: 0 });
  });
});
