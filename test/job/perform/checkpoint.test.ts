import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DiscardJob, JobTimeoutError, KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { createExecutor } from '../../../lib/job/perform/executor';
import { DeadSet } from '../../../lib/job/sets/dead-set';
import { Deadline } from '../../../lib/support/async';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';
import { setSources } from '../sets/set-sources';
import { recordText } from '../sets/stored-job';

/** A clock so far behind that every retry is due at once. */
const RETRY_AT_ONCE = { now: () => Date.now() - 1e12 };
/** A time in which Redis stores cursors, however slow it is. */
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

const CLASSES = [SteppingJob, EndlessJob, TightJob, PlainJob];

describe('checkpoints and progress', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(async () => {
    gate.open();
    await system.stop();
  });
  beforeEach(async () => {
    await system.reset();
    gate.close();
    begun.length = 0;
    steps.length = 0;
  });

  const noted = async (key: 'cursor' | 'progress', id: string) => {
    const text = await system.redis.client.hGet(`bq:default:${key}`, id);
    return text === null ? undefined : JSON.parse(text);
  };
  const nothingIsLeft = async () => {
    const { client } = system.redis;
    assert.equal(await client.exists(['bq:default:cursor', 'bq:default:progress']), 0);
  };
  const succeeded = () => until('the job has succeeded', () => system.eventsNamed('job.succeeded')[0]);
  const heard = (name: Parameters<JobSystem['eventsNamed']>[0]) => until(name, () => system.eventsNamed(name)[0]);
  const each = (count: number) => Array.from({ length: count }, (_, i) => i);

  it('let a retry resume exactly where the failed run ended, with few writes to Redis', async () => {
    const { client } = system.redis;
    await system.processor(CLASSES, { tuning: { ...PATIENT, ...RETRY_AT_ONCE } });
    await client.sendCommand(['CONFIG', 'RESETSTAT']);
    const begunAt = performance.now();
    await SteppingJob.performLater('fail');
    await succeeded();
    const quarters = (performance.now() - begunAt) / 250;
    assert.deepEqual(begun, [undefined, 1000]);
    assert.deepEqual(steps, each(2000));
    await nothingIsLeft();
    const writes = Number(/cmdstat_hset:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    assert.ok(writes < quarters + 20, `${writes} HSETs for 2000 checkpoints in ${quarters} quarters of a second`);
  });

  it('end a stopped job at its next one, where it resumes without a counted attempt', async () => {
    const { client } = system.redis;
    const executor = createExecutor({
      knex: system.database.knex,
      redis: client,
      registry: new JobRegistry(CLASSES),
      events: system.events,
      setup: {},
      models: undefined,
      onFinished: () => undefined,
      onDied: () => undefined,
      tuning: PATIENT,
    });
    const record = recordText({ class: 'EndlessJob' });
    /** Delivers the job, lets it do some steps and stops it. @returns its outcome. */
    const stoppedRun = async (deliveries: number) => {
      const fence = `${deliveries}:a`;
      await client.hSet('bq:default:deliveries', 'endless', fence);
      const before = steps.length;
      const performing = executor.perform({ id: 'endless', queue: 'default', record, deliveries, fence });
      await until('the job has done some steps', () => {
        gate.close();
        return steps.length > before + 5;
      });
      executor.abort(new Error('the process is stopping'));
      gate.close();
      return (await performing).outcome;
    };
    assert.deepEqual(await stoppedRun(1), { op: 'release' });
    const done = steps.length;
    assert.equal(await noted('cursor', 'endless'), done, 'it is stored although the last one was stored a moment ago');
    assert.deepEqual(await stoppedRun(2), { op: 'release' });
    assert.deepEqual(begun, [0, done]);
    assert.deepEqual(steps, each(steps.length), 'no step twice');
  });

  it('let a loop that never yields time out, with its cursor stored', async () => {
    await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await TightJob.performLater();
    const { error } = (await heard('job.retrying')) as { readonly error: Error };
    assert.ok(error instanceof JobTimeoutError);
    assert.ok((await noted('cursor', id)) > 0);
  });

  it('store the progress for operators to see', async () => {
    await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await EndlessJob.performLater();
    await until('the job is held', () => gate.held === 1);
    await until('the progress is stored a little later', async () => (await noted('progress', id))?.step === 0);
  });

  it('are deleted when the job is discarded', async () => {
    await system.processor(CLASSES, { tuning: PATIENT });
    await SteppingJob.performLater('discard');
    await heard('job.discarded');
    await nothingIsLeft();
  });

  it('move with a dead job, which resumes when it is retried', async () => {
    const { client } = system.redis;
    await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await SteppingJob.performLater('kill');
    await heard('job.dead');
    await nothingIsLeft();
    await until('the job is dead', async () => (await system.deadIds()).includes(id));
    await until('Redis has nothing of it', async () => (await client.exists('bq:default:jobs')) === 0);
    await new DeadSet(setSources(system)).runMany('retry', { ids: [id] });
    await succeeded();
    assert.deepEqual(begun, [undefined, 1000]);
    assert.deepEqual(steps, each(2000));
  });

  it('of an earlier run are deleted when the job succeeds without any', async () => {
    class ChangedJob extends Job<[end: End]> {
      static override jobName = 'SteppingJob';
      perform(): void {}
    }
    const { client } = system.redis;
    const first = await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await SteppingJob.performLater('fail');
    await heard('job.retrying');
    assert.equal(await noted('cursor', id), 1000);
    await first.stop(Deadline.after(1000));
    await client.zRem('bq:default:delayed', id);
    await client.lPush('bq:default:waiting', id);
    await system.processor([ChangedJob]);
    await succeeded();
    await nothingIsLeft();
  });

  it('end a run whose job was given to another process, and overwrite nothing', async () => {
    const { client } = system.redis;
    await system.processor(CLASSES, { tuning: PATIENT });
    const { id } = await EndlessJob.performLater();
    await until('the job is held', () => gate.held === 1);
    await client.hSet('bq:default:deliveries', id, '2:another.1');
    await client.hSet('bq:default:cursor', id, '77');
    await until('the run has ended', () => {
      gate.close();
      return system.eventsNamed('job.fenced').length === 1;
    });
    assert.equal(await noted('cursor', id), 77);
  });

  it('do not stop a job when Redis is down or emptied', async () => {
    await system.processor(CLASSES);
    await EndlessJob.performLater();
    await until('the job is held', () => gate.held === 1);
    await system.redisServer.kill();
    await until('the job has gone on, and the error was reported', () => {
      gate.close();
      return steps.length > 3 && system.eventsNamed('queue.error').some(({ during }) => during.includes('cursor'));
    });
    await system.redisServer.start();
    await until('Redis is connected', () => system.redis.client.isReady);
    await system.redis.client.flushAll();
    const before = steps.length;
    await until('the job goes on', () => {
      gate.close();
      return steps.length > before + 3;
    });
    assert.deepEqual(begun, [0]);
    await nothingIsLeft();
  });

  it('cost nothing in a job that does not use them', async () => {
    const deletions = async () => /cmdstat_hdel:calls=(\d+)/.exec(await system.redis.client.info('commandstats'))?.[1];
    await system.processor([PlainJob]);
    await system.redis.client.sendCommand(['CONFIG', 'RESETSTAT']);
    await PlainJob.performLater();
    await succeeded();
    assert.equal(await deletions(), '2', 'the record and the delivery');
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

  it('return any cursor unchanged', async () => {
    class EchoJob extends Job<[cursor: string]> {
      async perform(cursor: string): Promise<unknown> {
        await this.checkpoint(JSON.parse(cursor));
        return this.resumeFrom();
      }
    }
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (cursor) => {
        const json = JSON.stringify(cursor);
        assert.deepEqual(await EchoJob.performNow(json), JSON.parse(json));
      }),
    );
  });
});
