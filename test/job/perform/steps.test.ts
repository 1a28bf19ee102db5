import assert from 'node:assert/strict';
import { JobTakenError, KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { rescue } from '../../../lib/job/row/rescue';
import { databaseInUse, transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { isMoved, setSources, setsOf } from '../sets/set-sources';

/** What runs have done, in order. */
const log: unknown[] = [];
const gate = new Gate();

/** Writes a row of the app, in the transaction of the caller if there is one. */
const insert = (effect: string): PromiseLike<object> =>
  databaseInUse('a test').raw('insert into effects (name) values (?)', [effect]);
const write = async (effect: string) => {
  await insert(effect);
};

/** Ends its first run after all steps. */
class OrderJob extends Job<[dies: boolean]> {
  async perform(dies: boolean): Promise<void> {
    const once = <T>(name: string, value: T) =>
      this.step(name, () => {
        log.push(name);
        return value;
      });
    const price = { b: 2n, a: [new Date(7), -0, { $date: 'mine' }] };
    const first = await Promise.all([once('price', price), once('nothing', undefined), once('null', null)]);
    assert.deepEqual(first, [price, undefined, null]);
    assert.deepEqual(Object.keys(first[0]), ['b', 'a']);
    await this.step('__proto__', () => write('charged'));
    const done = await this.step('whole', (trx) => trx.raw('insert into effects values (?)', ['whole']).then(() => 7), {
      transaction: true,
    });
    log.push(`run ${this.context.attempt} has ${done}`);
    if (this.context.attempt === 1 && log.length === 4) throw dies ? new KillJob('no') : new Error('once');
  }
}

/** Its first run ends in the given way, within a step whose work is written but not done. */
class FailingJob extends Job<
  [how: 'throws' | 'returns a function' | 'returns the result of an INSERT' | 'ignores an error', whole: boolean]
> {
  async perform(how: string, whole: boolean): Promise<void> {
    const work = async () => {
      const inserted = await insert(`run ${this.context.attempt}`);
      if (this.context.attempt > 1) return 'well';
      if (how === 'returns the result of an INSERT') return inserted;
      if (how === 'throws') throw new Error('once');
      if (how === 'ignores an error') await write(null as never).catch(() => undefined);
      return { list: [() => 1] };
    };
    log.push(await (whole ? this.step('pay', work, { transaction: true }) : this.step('pay', work)));
  }
}

/** Each step is in the way of the next one. */
class MisusedJob extends Job {
  static override retry = { limit: 0 };

  async perform(): Promise<void> {
    const refuse = async (work: () => Promise<unknown>, message: RegExp) => {
      await assert.rejects(work, { name: 'TypeError', message });
      log.push('refused');
    };
    const step = (name: string) => this.step(name, () => log.push('ran'));
    for (const name of ['', ' ', 'a\nb', 'x'.repeat(101), 7 as never])
      await refuse(() => step(name), /^the step .* of MisusedJob has an invalid name: give/);
    await this.step('a', () => 1);
    await refuse(() => step('a'), /^the step "a" of MisusedJob was called twice/);
    await this.step(
      'b',
      async () => {
        await refuse(() => this.checkpoint(1), /MisusedJob\.checkpoint was called in b, which is done as a whole/);
        await refuse(() => this.resumeFrom(), /MisusedJob\.resumeFrom was called in b/);
      },
      { transaction: true },
    );
    await refuse(() => transaction(() => this.commit()), /MisusedJob\.commit was called in a transaction/);
    await this.commit(() => refuse(() => this.checkpoint(1), /checkpoint was called in commit\(\)/));
    await refuse(() => this.commit(), /MisusedJob\.commit was called twice/);
    await refuse(() => step('c'), /^the step "c" of MisusedJob follows commit\(\)/);
  }
}

/** Ends by `commit`, and then fails. */
class CommittingJob extends Job<[fails: 'within' | 'after' | 'ever']> {
  async perform(fails: string): Promise<void> {
    const first = this.context.attempt === 1;
    const result = await this.commit(async (trx) => {
      await trx.raw('insert into effects values (?)', [`by ${fails}`]);
      if (first && fails === 'within') throw new Error('within');
      return 7;
    });
    log.push(result);
    await this.progress(1);
    await gate.pass();
    if (fails === 'after') throw new Error('after');
  }
}

/** Is held within a transaction, which its first run is to lose. */
class HeldJob extends Job<[how: 'step' | 'commit']> {
  async perform(how: string): Promise<void> {
    const run = this.context.deliveries;
    const work = async () => {
      await write(`by delivery ${run}`);
      if (run === 1) await gate.pass();
    };
    try {
      await (how === 'step' ? this.step('held', work, { transaction: true }) : this.commit(work));
      log.push(`delivery ${run} is done`);
    } catch (thrown) {
      log.push(thrown instanceof JobTakenError ? 'taken' : thrown);
      throw thrown;
    }
  }
}

/** The same, of a class that keeps finished jobs. */
class KeptHeldJob extends HeldJob {
  static override readonly keep = '7d';
}

/** Has a cursor of its own and one in each of two steps; fails in the second. */
class CursorJob extends Job {
  async perform(): Promise<void> {
    log.push(['outside', await this.resumeFrom()]);
    await this.step('one', async () => {
      log.push(['one', await this.resumeFrom()]);
      await this.checkpoint(1);
    });
    await this.checkpoint('outer');
    await this.step('two', async () => {
      log.push(['two', await this.resumeFrom()]);
      await this.checkpoint(2);
      log.push(await this.resumeFrom());
      if (this.context.attempt === 1) throw new Error('half way');
    });
  }
}

/** Is held between two steps. */
class StoppedJob extends Job {
  async perform(): Promise<void> {
    await this.step('one', () => log.push('one'));
    await gate.pass(this.context.signal).catch(() => undefined);
    await this.step('two', () => log.push('two'));
  }
}

const CLASSES = [OrderJob, FailingJob, MisusedJob, CommittingJob, HeldJob, KeptHeldJob, CursorJob, StoppedJob];

describe('steps', () => {
  const system = useJobSystem({ gate, empty: [log] });
  before(() => system.postgres.query('create table effects (name text not null)'));
  beforeEach(async () => {
    await system.postgres.query('truncate effects');
    await system.skipWaits();
  });

  const effects = async () =>
    (await system.postgres.query<{ name: string }>('select name from effects')).map(({ name }) => name).sort();
  const ended = () => until('the job has ended', async () => (await system.jobCount()) === 0);
  const held = () => until('the job is held', () => gate.held === 1);
  const failures = () => system.eventsNamed('job.retrying').map(({ error }) => error.message);

  it('run once, and later runs get their results as they were', async () => {
    await system.processor(CLASSES);
    await OrderJob.performLater(false);
    await ended();
    assert.deepEqual(log, ['price', 'nothing', 'null', 'run 1 has 7', 'run 2 has 7']);
    assert.deepEqual(await effects(), ['charged', 'whole']);
  });

  it('stay with a dead job, where operators see them, and after its retry', async () => {
    await system.processor(CLASSES);
    const { id } = await OrderJob.performLater(true);
    await until('it is dead', async () => (await system.deadIds())[0] === id);
    const sets = setsOf(setSources(system));
    const { place, steps } = await sets.find(id);
    assert.deepEqual(
      [place, steps.map(({ name }) => name).sort()],
      ['dead', ['__proto__', 'nothing', 'null', 'price', 'whole']],
    );
    assert.ok(steps.every(({ at }, i) => at > 0 && at >= (steps[i - 1]?.at ?? 0)));
    await isMoved(sets.dead.move('retry', { ids: [id] }));
    await until('it is done', () => log.length === 5);
    assert.deepEqual(await effects(), ['charged', 'whole']);
  });

  for (const [how, message] of [
    ['throws', /^once$/],
    ['returns a function', /^the result of the step pay of FailingJob \.list\[0\] is a function/],
    [
      'returns the result of an INSERT',
      /^the result of the step pay of FailingJob is an instance of Result \(results .*return nothing/,
    ],
  ] as const)
    for (const whole of [false, true])
      it(`are not done when their work ${how}${whole ? ', and their transaction is rolled back' : ''}`, async () => {
        await system.processor(CLASSES);
        await FailingJob.performLater(how, whole);
        await ended();
        assert.match(failures().join(), message);
        assert.deepEqual(await effects(), whole ? ['run 2'] : ['run 1', 'run 2']);
        assert.deepEqual(log, ['well']);
      });

  it('are not done when their work ignores an error of Postgres', async () => {
    await system.processor(CLASSES);
    await FailingJob.performLater('ignores an error', true);
    await ended();
    assert.equal(failures().length, 1);
    assert.deepEqual(await effects(), ['run 2']);
  });

  it('and commit say what is wrong with a call', async () => {
    await system.processor(CLASSES);
    await MisusedJob.performLater();
    await until('it has succeeded', () => system.eventsNamed('job.succeeded')[0]);
    assert.deepEqual(log, Array(12).fill('refused'));
  });

  it('of their own job keep cursors apart', async () => {
    await system.processor(CLASSES);
    await CursorJob.performLater();
    await ended();
    const first = [['outside', undefined], ['one', undefined], ['two', undefined], 2];
    assert.deepEqual(log, [...first, ['outside', 'outer'], ['two', 2], 2]);
  });

  it('are where a stop ends a run, which goes on there', async () => {
    await system.processor(CLASSES);
    await StoppedJob.performLater();
    await held();
    await system.stopProcessors();
    assert.equal(system.eventsNamed('job.released').length, 1);
    assert.deepEqual(log, ['one']);
    gate.open();
    await system.processor(CLASSES);
    await ended();
    assert.deepEqual(log, ['one', 'two']);
  });

  for (const how of ['step', 'commit'] as const)
    it(`leave no effect of a transaction by ${how} of a run whose job was given to another`, async () => {
      const identity = 'frozen';
      await system.processor(CLASSES, { lineage: { identity, dead: [] } });
      await HeldJob.performLater(how);
      await held();
      assert.equal((await rescue(system.database.knex, { identity })).length, 1);
      await system.postgres.query("select pg_notify('job_queue', 'look')");
      await until('another delivery has done it', () => log[0] === 'delivery 2 is done');
      gate.open();
      await until('the first was told', () => log.length === 2);
      await ended();
      assert.deepEqual(log, ['delivery 2 is done', 'taken']);
      assert.deepEqual(await effects(), ['by delivery 2']);
      assert.deepEqual(failures(), []);
    });

  for (const jobClass of [HeldJob, KeptHeldJob])
    it(`cannot end by commit a job that another process has: ${jobClass.name}`, async () => {
      await system.processor(CLASSES);
      await jobClass.performLater('commit');
      await held();
      await system.postgres.query("update job_queue set claimed_by = 'another process'");
      gate.open();
      await until('the run has ended', () => system.eventsNamed('job.fenced').length === 1);
      assert.deepEqual([log, await effects(), await system.jobCount()], [['taken'], [], 1]);
    });

  it('end by commit with the job: its row goes with it, and nothing that fails later runs it again', async () => {
    await system.processor(CLASSES);
    await CommittingJob.performLater('after');
    await held();
    assert.equal(await system.jobCount(), 0);
    assert.deepEqual([log, await effects()], [[7], ['by after']]);
    gate.open();
    await until('it is done', () => system.eventsNamed('job.succeeded')[0]);
    const reported = system.eventsNamed('process.error').map(({ error, during }) => [error.message, during]);
    assert.deepEqual(reported, [['after', 'the end of CommittingJob after its commit()']]);
    assert.deepEqual([failures(), system.eventsNamed('job.fenced'), system.eventsNamed('queue.error')], [[], [], []]);
  });

  it('are all rolled back with a commit that fails, and the job is retried', async () => {
    gate.open();
    await system.processor(CLASSES);
    await CommittingJob.performLater('within');
    await until('it is done', () => system.eventsNamed('job.succeeded')[0]);
    assert.deepEqual([failures(), log, await effects()], [['within'], [7], ['by within']]);
  });
});
