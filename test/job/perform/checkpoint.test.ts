import assert from 'node:assert/strict';
import { once } from 'node:events';
import fc from 'fast-check';
import { Job } from '../../../lib/job/job';
import { JobTimeoutError } from '../../../lib/job/perform/timeout';
import { DiscardJob, KillJob } from '../../../lib/job/perform/verdict';
import { readRecord, revivedRecord } from '../../../lib/job/record/record';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { CountingJob, startDoomedProcessor } from '../doomed-processor';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

/** A clock so far behind that every retry is due at once. */
const RETRY_AT_ONCE = { now: () => Date.now() - 1e12 };

const gate = new Gate();
/** What each run began with, and each step, in the order of their happening. */
const begun: unknown[] = [];
const steps: number[] = [];

type End = 'well' | 'fail' | 'discard' | 'kill';

/** Does 2000 steps without a pause; the first run ends at the thousandth, as told. */
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

/** Steps until it is told to end; held now and then. */
class EndlessJob extends Job {
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

/** Never lets anything else in by itself. */
class TightJob extends Job {
  static override timeout = '60ms' as const;

  async perform(): Promise<void> {
    for (let step = 0; ; step++) await this.checkpoint(step);
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
  const succeeded = () => until('it succeeded', () => system.eventsNamed('job.succeeded')[0]);
  const heard = (name: Parameters<JobSystem['eventsNamed']>[0]) => until(name, () => system.eventsNamed(name)[0]);
  const each = (count: number) => Array.from({ length: count }, (_, i) => i);

  it('a retry resumes exactly where the failed run ended, and Redis hears of few steps', async () => {
    await system.processor(CLASSES, { tuning: RETRY_AT_ONCE });
    await SteppingJob.performLater('fail');
    await succeeded();
    assert.deepEqual(begun, [undefined, 1000]);
    assert.deepEqual(steps, each(2000));
    await nothingIsLeft();
    const stats = await system.redis.client.info('commandstats');
    const writes = Number(/cmdstat_hset:calls=(\d+)/.exec(stats)?.[1]);
    assert.ok(writes < 50, `${writes} HSETs for 2000 checkpoints, all jobs of this file included`);
  });

  it('a stopped job ends at its next checkpoint, and resumes there, with nothing burnt', async () => {
    const processor = await system.processor(CLASSES);
    const { id } = await EndlessJob.performLater();
    await until('it is held at its first step', () => gate.held === 1);
    assert.equal(await noted('cursor', id), 1, 'the first checkpoint is written at once');
    const stopped = processor.stop(Deadline.after(5000));
    // Those that come fast are not, until the run is to end.
    await until('it is back in its queue', async () => {
      gate.close();
      return (await system.redis.client.lLen('bq:default:waiting')) === 1;
    });
    await stopped;
    assert.equal(await noted('cursor', id), steps.length);
    assert.equal(system.eventsNamed('job.returned').length, 1);
    const { options } = JSON.parse((await system.redis.client.hGet('bq:default:jobs', id)) ?? '');
    assert.equal(options.attempts, undefined);
    const before = steps.length;
    await system.processor(CLASSES);
    await until('it goes on', () => begun.length === 2);
    assert.equal(begun[1], before);
    await until('a step is done', () => steps.length > before);
    assert.deepEqual(steps, each(steps.length), 'no step twice');
  });

  it('a job whose process was killed resumes from what was stored, a quarter of a second ago at most', async () => {
    const urls = { database: system.postgres.url, redis: system.redisServer.url };
    const told: number[] = [];
    const start = (identity: string) => {
      const child = startDoomedProcessor(urls, identity);
      child.on('message', (text: string) => told.push(Number(text)));
      return child;
    };
    const first = start('first');
    try {
      const { id } = await CountingJob.performLater();
      await until('it has stored its cursor for the third time or so', async () => (await noted('cursor', id)) > 50);
      first.kill('SIGKILL');
      await once(first, 'exit');
      const cursor = await noted('cursor', id);
      const last = told.at(-1) ?? 0;
      assert.ok(cursor <= last + 1 && cursor >= last - 60, `${cursor} is stored, ${last} was reached`);
      told.length = 0;
      const second = start('second');
      await until('it goes on', () => told.length > 3);
      second.kill('SIGKILL');
      await once(second, 'exit');
      assert.equal(told[0], cursor);
    } finally {
      first.kill('SIGKILL');
    }
  });

  it('a loop that never pauses hears of its timeout, and has its cursor stored', async () => {
    await system.processor(CLASSES);
    const { id } = await TightJob.performLater();
    const { error } = (await heard('job.retrying')) as { readonly error: Error };
    assert.ok(error instanceof JobTimeoutError);
    assert.ok((await noted('cursor', id)) > 0);
  });

  it('tells those who watch how far it is', async () => {
    await system.processor(CLASSES);
    const { id } = await EndlessJob.performLater();
    await until('it is held', () => gate.held === 1);
    await until('the progress is stored a little later', async () => (await noted('progress', id))?.step === 0);
  });

  it('a discarded job leaves nothing', async () => {
    await system.processor(CLASSES);
    await SteppingJob.performLater('discard');
    await heard('job.discarded');
    await nothingIsLeft();
  });

  it('a dead one leaves nothing beside it, and resumes all the same when it is revived', async () => {
    const { client } = system.redis;
    await system.processor(CLASSES);
    const { id } = await SteppingJob.performLater('kill');
    await heard('job.dead');
    await nothingIsLeft();
    const record = readRecord((await client.hGet('bq:default:jobs', id)) ?? '');
    assert.equal(record.options.cursor, '1000');
    await client.hSet('bq:default:jobs', id, JSON.stringify(revivedRecord(record)));
    await client.lPush('bq:default:waiting', id);
    await succeeded();
    assert.deepEqual(begun, [undefined, 1000]);
    assert.deepEqual(steps, each(2000));
  });

  it('a job that does not get to its checkpoints again takes away what an earlier run has left', async () => {
    class ChangedJob extends Job<[end: End]> {
      static override jobName = 'SteppingJob';
      perform(): void {}
    }
    const { client } = system.redis;
    const first = await system.processor(CLASSES);
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

  it('a run whose job was given to another ends, and overwrites nothing', async () => {
    const { client } = system.redis;
    await system.processor(CLASSES);
    const { id } = await EndlessJob.performLater();
    await until('it is held', () => gate.held === 1);
    await client.hSet('bq:default:deliveries', id, '2:another.1');
    await client.hSet('bq:default:cursor', id, '77');
    await until('it has ended', () => {
      gate.close();
      return system.eventsNamed('job.superseded').length === 1;
    });
    assert.equal(await noted('cursor', id), 77);
  });

  it('a Redis that is away, or emptied, keeps no job from going on', async () => {
    await system.processor(CLASSES);
    await EndlessJob.performLater();
    await until('it is held', () => gate.held === 1);
    await system.redisServer.kill();
    await until('it has gone on, and its trouble was told', () => {
      gate.close();
      return steps.length > 3 && system.eventsNamed('queue.error').some(({ during }) => during.includes('cursor'));
    });
    await system.redisServer.start();
    await until('redis is connected', () => system.redis.client.isReady);
    await system.redis.client.flushAll();
    const before = steps.length;
    await until('it goes on still', () => {
      gate.close();
      return steps.length > before + 3;
    });
    assert.deepEqual(begun, [0]);
    await nothingIsLeft();
  });

  it('costs a job that uses neither nothing', async () => {
    const deletions = async () => /cmdstat_hdel:calls=(\d+)/.exec(await system.redis.client.info('commandstats'))?.[1];
    await system.processor([PlainJob]);
    await system.redis.client.sendCommand(['CONFIG', 'RESETSTAT']);
    await PlainJob.performLater();
    await succeeded();
    assert.equal(await deletions(), '2', 'of its record and its delivery');
  });

  it('performNow keeps both in memory; cursors may hold dates and bigints', async () => {
    assert.deepEqual(await OddJob.performNow('fine'), { at: new Date(7), id: 12n, list: [-0] });
  });

  it('refuses what cannot be kept', async () => {
    const refused = (what: string, message: RegExp) =>
      assert.rejects(OddJob.performNow(what), { name: 'TypeError', message });
    await refused('undefined', /^OddJob\.checkpoint: argument 1 is undefined/);
    await refused('function', /^OddJob\.checkpoint: argument 1 \.list\[0\] is a function/);
    await refused('NaN', /^OddJob\.progress: argument 1 is NaN/);
  });

  it('any cursor comes back as it was', async () => {
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
