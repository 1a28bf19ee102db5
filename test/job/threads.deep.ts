import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { JobCancelledError, JobThreadError, JobTimeoutError } from '../../lib/job/definition/errors';
import type { JobClass } from '../../lib/job/definition/job-class';
import { compileOptions } from '../../lib/job/definition/options';
import { Job } from '../../lib/job/job';
import { loadJobs } from '../../lib/job/job-registry';
import type { ProcessorTuning } from '../../lib/job/processor';
import { threadSource } from '../../lib/role/start/job-thread-source';
import app from '../fixtures/thread-app/app';
import EndlessJob from '../fixtures/thread-app/jobs/endless';
import SpinningJob from '../fixtures/thread-app/jobs/spinning';
import ThreadedJob from '../fixtures/thread-app/jobs/threaded';
import { until } from '../support/until';
import { TWO_QUEUES, useJobSystem } from './job-system';

const MANIFEST = path.join(__dirname, '../fixtures/thread-app/app.ts');
const ran: string[] = [];

class PlainJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('a job with thread', () => {
  const system = useJobSystem({ empty: [ran, ThreadedJob.told] });
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'threads-'));
  });
  afterEach(async () => {
    await system.stopProcessors();
    fs.rmSync(folder, { recursive: true });
  });

  const start = (tuning: ProcessorTuning = {}, concurrency = 2, threads = concurrency) => {
    const jobs = { ...TWO_QUEUES, concurrency, threads };
    const config = { environment: 'test', databaseSchema: 'public', jobs } as const;
    return system.processor([EndlessJob, SpinningJob, ThreadedJob, PlainJob], {
      jobs,
      tuning,
      thread: threadSource(MANIFEST, config, system.urls.database),
    });
  };
  const plainRuns = async (name: string) => {
    await PlainJob.performLater(name);
    await until(`the plain job runs: ${name}`, () => ran.includes(name));
  };
  const dies = async (count = 1) => {
    await until('it is dead', () => system.eventsNamed('job.dead').length === count);
    return system.eventsNamed('job.dead').at(-1)?.error;
  };
  const running = async () => (await system.postgres.query(`select 1 from job_queue where state = 'running'`)).length;
  const threadsOf = () => fs.readdirSync(folder).filter((name) => name.startsWith('end.'));

  it('is in the app, and computes beside the others', async () => {
    assert.ok((await loadJobs(app.jobsDir, app)).get('SpinningJob'));
    await start({}, 3);
    const end = path.join(folder, 'end');
    await SpinningJob.performLater(end);
    await SpinningJob.performLater(end);
    await until('both compute', () => threadsOf().length === 2);
    await plainRuns('beside them');
    fs.writeFileSync(end, '');
    await until('all are done', async () => (await system.jobCount()) === 0);
  });

  it('has its context, its log, steps, transactions, checkpoints and its result; callbacks are called in the process', async () => {
    await start();
    const at = new Date(7);
    const job = await ThreadedJob.performLater('work', at);
    assert.deepEqual(await job.result(), {
      id: job.id,
      attempt: 1,
      first: ['done'],
      at,
      cursor: 7,
      isMainThread: false,
    });
    await until('what it enqueued is done', async () => (await system.jobCount()) === 0);
    assert.deepEqual(ThreadedJob.told, ['before work, in the process', 'before nothing, in the process']);
    assert.deepEqual(
      system.eventsNamed('job.log').map(({ id, text }) => ({ id, text })),
      [{ id: job.id, text: 'it works' }],
    );
    const [row] = await system.postgres.query<{ ending: string }>(
      `select ending from job_finished where id = '${job.id}'`,
    );
    assert.match(JSON.stringify(row), /it works/);
  });

  it('ends by commit, with what it enqueues there', async () => {
    await start();
    await ThreadedJob.performLater('committed');
    await until('both are done', () => system.eventsNamed('job.succeeded').length === 2);
    assert.equal(system.eventsNamed('job.fenced').length, 0);
  });

  it('fails by its own errors as in the process: by the rules of its class, and Snooze and DiscardJob', async () => {
    await start();
    for (const what of ['busy', 'discard', 'snooze']) await ThreadedJob.performLater(what);
    await until('it is retried', () => system.eventsNamed('job.retrying').length === 1);
    const [retried] = system.eventsNamed('job.retrying');
    assert.deepEqual({ ...retried?.error }, { name: 'Busy', code: 429 });
    assert.ok((retried?.waitMs ?? 0) >= 3_600_000);
    await until('one is discarded', () => system.eventsNamed('job.discarded').length === 1);
    await until('one snoozes', () => system.eventsNamed('job.snoozed').length === 1);
  });

  it('that ends its thread fails alone: by process.exit, an uncaught error, or too much memory', async () => {
    await start();
    const reasons = { exit: 'exited', greedy: 'out of memory' };
    for (const [index, [what, reason]] of Object.entries(reasons).entries()) {
      await ThreadedJob.performLater(what);
      const error = await dies(index + 1);
      assert.ok(error instanceof JobThreadError && error.reason === reason, String(error));
    }
    await ThreadedJob.performLater('stray');
    assert.equal((await dies(3))?.message, 'stray');
    await plainRuns('after them');
    assert.equal((await ThreadedJob.performLater('work')).enqueued, true);
    await until('the next has a new thread', () => system.eventsNamed('job.log').length === 1);
    assert.equal(ThreadedJob.told.filter((each) => each instanceof Error).length, 3);
  });

  it('is ended with its thread when it ignores its timeout', async () => {
    await start({ threadGraceMs: 50 });
    await EndlessJob.performLater(path.join(folder, 'runs'));
    const error = await dies();
    assert.ok(error instanceof JobTimeoutError);
    assert.ok(error.cause instanceof JobThreadError && error.cause.reason === 'terminated');
  });

  it('is cancelled, whether it heeds its signal or not', async () => {
    await start({ threadGraceMs: 50 });
    const end = path.join(folder, 'end');
    const spins = await SpinningJob.performLater(end);
    const waits = await ThreadedJob.performLater('watchful');
    await until('it computes', () => threadsOf().length === 1);
    for (const { id } of [spins, waits]) assert.equal(await Job.cancel(id), 'requested');
    await until('both are gone', async () => (await system.jobCount()) === 0);
    await until('both cancels are told', () => system.eventsNamed('job.cancelled').length === 2);
    await until('it is told', () => ThreadedJob.told.some((each) => each instanceof JobCancelledError));
  });

  it('waits for a free thread, and can be cancelled meanwhile', async () => {
    const processor = await start({}, 3, 1);
    const end = path.join(folder, 'end');
    await SpinningJob.performLater(end);
    await until('it computes', () => threadsOf().length === 1);
    const waits = await SpinningJob.performLater(end);
    const other = await ThreadedJob.performLater('nothing');
    await until('all run', async () => (await running()) === 3);
    assert.equal(await Job.cancel(waits.id), 'requested');
    await until('it is cancelled', () => system.eventsNamed('job.cancelled').length === 1);
    assert.equal(threadsOf().length, 1);
    fs.writeFileSync(end, '');
    await until('the others are done', async () => (await system.jobCount()) === 0);
    const done = system.eventsNamed('job.succeeded').map(({ id }) => id);
    assert.ok(done.length === 2 && done.includes(other.id) && processor.threadCount === 1);
  });

  it('returns to its queue at a stop, and its thread is ended', async () => {
    const processor = await start({ stop: { runningJobsMs: 0 } });
    const end = path.join(folder, 'end');
    await SpinningJob.performLater(end);
    await until('it computes', () => threadsOf().length === 1);
    await system.stopProcessors();
    assert.deepEqual(
      (await system.postgres.query('select state, attempts from job_queue')).map((row) => ({ ...row })),
      [{ state: 'ready', attempts: 0 }],
    );
    assert.equal(processor.threadCount, 0);
  });

  it('leaves its thread to the next one, until the thread has been idle', async () => {
    const processor = await start({ threadIdleMs: 1 });
    await ThreadedJob.performLater('nothing');
    await until('it is done', () => system.eventsNamed('job.succeeded').length === 1);
    await until('no thread is left', () => processor.threadCount === 0);
    await system.stopProcessors();
    const patient = await start();
    const end = path.join(folder, 'end');
    fs.writeFileSync(end, '');
    for (let n = 2; n <= 4; n++) {
      await SpinningJob.performLater(end);
      await until('it is done', () => system.eventsNamed('job.succeeded').length === n);
    }
    assert.ok(patient.threadCount === 1 && threadsOf().length === 1);
  });

  it('says what its thread may be', () => {
    for (const thread of ['yes', 1, {}, { memory: '1GB' }, { memory: '8MB' }]) {
      class WrongJob extends Job {
        static override readonly thread = thread as unknown as true;
        perform(): void {}
      }
      assert.throws(() => compileOptions(WrongJob as JobClass), /^TypeError: WrongJob: thread is/);
    }
  });
});
