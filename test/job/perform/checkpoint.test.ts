import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { DiscardJob, JobTimeoutError, KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { createExecutor } from '../../../lib/job/perform/executor';
import { claim } from '../../../lib/job/row/claim';
import { readInstallation } from '../../../lib/job/row/installation';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { type JobSystem, useJobSystem } from '../job-system';
import { store } from '../sets/stored-job';

/** A time in which Postgres stores cursors, however slow it is. */
const PATIENT = { checkpointMs: 60_000 };

const gate = new Gate();
/** The cursors with which runs have begun, and all steps, in order. */
const begun: unknown[] = [];
const steps: number[] = [];

type End = 'well' | 'fail' | 'discard' | 'kill';

/** Does 2000 steps without a pause. The first run ends after the thousandth, in the given way. */
class SteppingJob extends Job<[end: End]> {
  async perform(end: End): Promise<void> {
    const from = await this.resumeFrom<number>();
    begun.push(from);
    for (let step = from ?? 0; step < 2000; step++) {
      steps.push(step);
      await this.checkpoint(step + 1);
      if (step === 999 && end === 'fail') throw new Error('half way');
      if (step === 999 && end === 'discard') throw new DiscardJob('half way');
      if (step === 999 && end === 'kill' && from === undefined) throw new KillJob('half way');
    }
  }
}

/** Steps until its checkpoint ends it, held by the gate after each step. */
class EndlessJob extends Job {
  // The test is about a stop, not about a timeout.
  static override timeout = '10m' as const;

  async perform(): Promise<void> {
    const from = (await this.resumeFrom<number>()) ?? 0;
    begun.push(from);
    for (let step = from; ; step++) {
      steps.push(step);
      await this.checkpoint(step + 1);
      await this.progress({ step });
      await gate.pass();
    }
  }
}

/** May reach step 2 while step 1 is still being stored, and then fails, each after the gate has let it go on. */
class HurryingJob extends Job<[last: number]> {
  async perform(last: number): Promise<void> {
    const from = await this.resumeFrom<number>();
    begun.push(from);
    if (from !== undefined) return;
    await gate.pass();
    void this.checkpoint(1);
    if (last === 2) await this.checkpoint(2);
    await gate.pass();
    throw new Error('once');
  }
}

/** Never yields to the event loop by itself. */
class TightJob extends Job {
  static override timeout = '60ms' as const;

  async perform(): Promise<void> {
    for (let step = 1; ; step++) await this.checkpoint(step);
  }
}

class PlainJob extends Job {
  perform(): void {
    steps.push(-1);
  }
}

class OddJob extends Job<[what: string]> {
  async perform(what: string): Promise<unknown> {
    if (what === 'undefined') await this.checkpoint(undefined as never);
    if (what === 'function') await this.checkpoint({ list: [() => 1] } as never);
    if (what === 'NaN') await this.progress(Number.NaN);
    await this.checkpoint({ at: new Date(7), id: 12n, list: [-0] });
    return this.resumeFrom();
  }
}

const CLASSES = [SteppingJob, EndlessJob, HurryingJob, TightJob, PlainJob];

describe('checkpoints and progress', () => {
  const system = useJobSystem({ gate });
  afterEach('end all runs', async () => {
    let isStopped = false;
    void system.stopProcessors().then(() => {
      isStopped = true;
    });
    await until('an endless job has ended at its next checkpoint', () => {
      gate.close();
      return isStopped;
    });
  });
  beforeEach(async () => {
    await system.reset();
    gate.close();
    begun.length = 0;
    steps.length = 0;
  });

  const stored = async (column: 'cursor' | 'progress', id: string) => {
    const [row] = await system.postgres.query<Record<string, unknown>>(
      `select ${column} from job_queue where id = $1`,
      [id],
    );
    return row?.[column] ?? undefined;
  };
  const isGone = () => until('the row is gone', async () => (await system.jobCount()) === 0);
  /** The statements about cursors that `work` sends. */
  const cursorStatements = async (work: () => Promise<unknown>) => {
    const statements: string[] = [];
    const note = ({ sql }: { readonly sql: string }) => void (/set .*cursor/s.test(sql) && statements.push(sql));
    system.database.knex.on('query', note);
    try {
      await work();
    } finally {
      system.database.knex.off('query', note);
    }
    return statements;
  };
  const succeeded = () => until('the job has succeeded', () => system.eventsNamed('job.succeeded')[0]);
  const heard = (name: Parameters<JobSystem['eventsNamed']>[0]) => until(name, () => system.eventsNamed(name)[0]);
  const each = (count: number) => Array.from({ length: count }, (_, i) => i);

  it('let a retry resume exactly where the failed run ended, with few writes', async () => {
    await system.skipWaits();
    await system.processor(CLASSES, { tuning: PATIENT });
    const begunAt = performance.now();
    const statements = await cursorStatements(async () => {
      await SteppingJob.performLater('fail');
      await succeeded();
    });
    const quarters = (performance.now() - begunAt) / 250;
    assert.deepEqual(begun, [undefined, 1000]);
    assert.deepEqual(steps, each(2000));
    await isGone();
    const { length: writes } = statements;
    assert.ok(writes > 0, 'none was seen');
    assert.ok(writes < quarters + 20, `${writes} writes for 2000 checkpoints in ${quarters} quarters of a second`);
  });

  it('end a stopped job at its next one, where it resumes without a counted attempt', async () => {
    const executor = createExecutor({
      knex: system.database.knex,
      identity: 'stopping-process',
      registry: new JobRegistry(CLASSES),
      events: system.events,
      setup: {},
      models: undefined,
      tuning: PATIENT,
    });
    const id = await store(system.database.knex, 'ready', { class: 'EndlessJob' });
    /** Delivers the job, lets it do some steps and stops it. @returns its outcome. */
    const stoppedRun = async () => {
      await system.postgres.query(`update job_queue set state = 'ready' where id = $1`, [id]);
      const { here: origin } = await readInstallation(system.database.knex);
      const [delivery] = await claim(system.database.knex, { identity: 'stopping-process', origin }, { ids: [id] });
      const before = steps.length;
      const performing = executor.perform(delivery ?? assert.fail('the job was not claimed'));
      await until('the job has done some steps', () => {
        gate.close();
        return steps.length > before + 5;
      });
      executor.abort(new Error('the process is stopping'));
      gate.close();
      return (await performing).outcome;
    };
    assert.deepEqual(await stoppedRun(), { op: 'return' });
    const done = steps.length;
    assert.equal(await stored('cursor', id), done, 'it is stored although the last one was stored a moment ago');
    assert.deepEqual(await stoppedRun(), { op: 'return' });
    assert.deepEqual(begun, [0, done]);
    assert.deepEqual(steps, each(steps.length), 'no step twice');
  });

  it('let a loop that never yields time out, with its cursor stored', async () => {
    await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await TightJob.performLater();
    const { error } = (await heard('job.retrying')) as { readonly error: Error };
    assert.ok(error instanceof JobTimeoutError);
    assert.ok(Number(await stored('cursor', id)) > 0);
  });

  it('store the progress for operators to see', async () => {
    await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await EndlessJob.performLater();
    await until('the job is held', () => gate.held === 1);
    await until('the progress is stored a little later', async () =>
      isDeepStrictEqual(await stored('progress', id), { step: 0 }),
    );
  });

  for (const [who, claim] of [
    ['another process', "claimed_by = 'another process'"],
    ['its process once more', 'claimed_at = clock_timestamp()'],
  ])
    it(`end a run whose job was given to ${who}, and overwrite nothing`, async () => {
      await system.processor(CLASSES, { tuning: PATIENT });
      const { id } = await EndlessJob.performLater();
      await until('the job is held', () => gate.held === 1);
      await system.postgres.query(`update job_queue set ${claim}, deliveries = 2, cursor = '77' where id = $1`, [id]);
      await until('the run has ended', () => {
        gate.close();
        return system.eventsNamed('job.fenced').length === 1;
      });
      assert.equal(await stored('cursor', id), 77);
    });

  it('do not stop a job when they cannot be stored', async () => {
    await system.processor(CLASSES);
    const { id } = await EndlessJob.performLater();
    await until('the job is held', () => gate.held === 1);
    await system.database.knex.transaction(async (trx) => {
      await trx.raw('select from job_queue where id = ? for update', [id]);
      await until('the job has gone on, and the error was reported', () => {
        gate.close();
        return steps.length > 3 && system.eventsNamed('queue.error').some(({ during }) => during.includes('cursor'));
      });
    });
    await until('a later cursor is stored', async () => {
      gate.close();
      return Number(await stored('cursor', id)) > 3;
    });
    assert.deepEqual(begun, [0]);
  });

  for (const last of [1, 2])
    it(`that could not be stored are stored later${last === 2 ? ', unless there are newer ones' : ''}`, async () => {
      await system.skipWaits();
      await system.processor(CLASSES);
      await HurryingJob.performLater(last);
      await until('the job is held', () => gate.held === 1);
      await system.postgres.query('alter table job_queue add constraint none check (cursor is null)');
      try {
        gate.close();
        await until('the first was not stored', () =>
          system.eventsNamed('queue.error').some(({ during }) => during.includes('cursor')),
        );
      } finally {
        await system.postgres.query('alter table job_queue drop constraint none');
      }
      await until('the job is held again', () => gate.held === 1);
      gate.close();
      await succeeded();
      assert.deepEqual(begun, [undefined, last]);
    });

  it('are kept in memory by performNow, and may hold dates and bigints', async () => {
    assert.deepEqual(await OddJob.performNow('fine'), { at: new Date(7), id: 12n, list: [-0] });
  });

  it('reject values that cannot be stored', async () => {
    const refused = (what: string, message: RegExp) =>
      assert.rejects(OddJob.performNow(what), { name: 'TypeError', message });
    await refused('undefined', /^OddJob\.checkpoint: argument 1 is undefined/);
    await refused('function', /^OddJob\.checkpoint: argument 1 \.list\[0\] is a function/);
    await refused('NaN', /^OddJob\.progress: argument 1 is NaN/);
  });
});
