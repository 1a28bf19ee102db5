import assert from 'node:assert/strict';
import { currentContext } from '../../../lib/core/execution-context';
import { DiscardJob, KillJob } from '../../../lib/job/definition/errors';
import type { PerformMiddleware } from '../../../lib/job/definition/setup';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const steps: string[] = [];

abstract class TracedJob<A extends [name: string, mood?: string] = [name: string]> extends Job<A> {
  override beforePerform(...[name]: A): void {
    steps.push(`before ${name} ${currentContext().jobClass}`);
  }
}

class FullJob extends TracedJob<[name: string, mood?: string]> {
  override async aroundPerform(perform: () => Promise<void>, name: string, mood?: string): Promise<void> {
    steps.push(`around ${name}`);
    if (mood === 'skip') return;
    if (mood === 'careless') void perform();
    else await perform();
    if (mood === 'twice') await perform();
    steps.push(`round ${name}`);
  }

  async perform(name: string, mood?: string): Promise<string> {
    await new Promise(setImmediate);
    if (mood === 'kill') throw new KillJob('no use');
    if (mood === 'discard') throw new DiscardJob('no need');
    steps.push(`perform ${name}`);
    return `performed ${name}`;
  }

  override afterPerform(name: string): void {
    steps.push(`after ${name}`);
  }

  override async afterDiscard(error: Error, name: string): Promise<void> {
    await Promise.resolve();
    steps.push(`afterDiscard ${name}: ${error.message}, ${this.context.class}, ${currentContext().jobId?.length}`);
    throw new Error('the callback broke');
  }
}

class RefusingJob extends Job {
  override beforePerform(): void {
    throw new DiscardJob('not today');
  }

  perform(): void {
    steps.push('perform');
  }
}

const middleware: PerformMiddleware[] = [];

describe('callbacks and middleware', () => {
  const system = useJobSystem({
    dependencies: { setup: { performMiddleware: middleware } },
    empty: [steps, middleware],
  });

  const over = () =>
    until('the run is over', () =>
      system.heard.find(({ name }) => /^job\.(succeeded|retrying|dead|discarded)$/.test(name)),
    ).then(({ name }) => name);

  describe('callbacks', () => {
    it('run with performNow, too, which returns what perform returns', async () => {
      assert.equal(await FullJob.performNow('Bob'), 'performed Bob');
      assert.deepEqual(steps, ['before Bob FullJob', 'around Bob', 'perform Bob', 'round Bob', 'after Bob']);
      await assert.rejects(FullJob.performNow('Bob', 'kill'), /no use/);
      assert.ok(
        !steps.some((step) => step.startsWith('afterDiscard')),
        'nothing is discarded, since the caller gets the error',
      );
    });

    it('may discard the job in beforePerform, after which nothing else runs', async () => {
      await system.processor([RefusingJob]);
      await RefusingJob.performLater();
      assert.equal(await over(), 'job.discarded');
      assert.deepEqual(steps, []);
    });

    it('skip perform and afterPerform when aroundPerform does not call next()', async () => {
      await system.processor([FullJob]);
      await FullJob.performLater('Ann', 'skip');
      assert.equal(await over(), 'job.succeeded');
      assert.deepEqual(steps, ['before Ann FullJob', 'around Ann']);
    });

    it('fail the run when aroundPerform does not await next(), once perform has ended', async () => {
      await system.processor([FullJob]);
      await FullJob.performLater('Ann', 'careless');
      assert.equal(await over(), 'job.retrying');
      assert.equal(steps.at(-1), 'perform Ann', 'the run lasts until perform has ended');
      assert.equal(
        system.eventsNamed('job.retrying')[0]?.error.message,
        'aroundPerform of FullJob did not await next()',
      );
    });

    it('fail the run when aroundPerform calls next() twice', async () => {
      await system.processor([FullJob]);
      await FullJob.performLater('Ann', 'twice');
      await over();
      assert.match(
        system.eventsNamed('job.retrying')[0]?.error.message ?? '',
        /aroundPerform of FullJob called next\(\) twice/,
      );
    });

    it('include afterDiscard for dead and discarded jobs, whose own errors are reported', async () => {
      await system.processor([FullJob]);
      for (const mood of ['kill', 'discard']) await FullJob.performLater(mood, mood);
      await until(
        'both runs are over',
        () => system.eventsNamed('job.dead').length + system.eventsNamed('job.discarded').length === 2,
      );
      assert.deepEqual(steps.filter((step) => step.startsWith('afterDiscard')).sort(), [
        'afterDiscard discard: no need, FullJob, 36',
        'afterDiscard kill: no use, FullJob, 36',
      ]);
      const reported = system.eventsNamed('process.error').map(({ error, during }) => `${during}: ${error.message}`);
      assert.deepEqual(reported, Array(2).fill('afterDiscard of FullJob: the callback broke'));
    });
  });

  describe('middleware', () => {
    const named =
      (name: string): PerformMiddleware =>
      async (run, next) => {
        steps.push(`${name} in: ${run.class} ${run.args.join()} ${run.attempt} ${run.tags.length}`);
        await next();
        steps.push(`${name} out`);
      };

    it('wraps performNow, too, the first one outermost', async () => {
      middleware.push(named('outer'), named('inner'));
      assert.equal(await FullJob.performNow('Bob'), 'performed Bob');
      const shown = ['outer', 'inner'].map((name) => `${name} in: FullJob Bob 1 0`);
      assert.deepEqual([steps.slice(0, 2), steps.slice(-2)], [shown, ['inner out', 'outer out']]);
    });

    it('sees the error of the job, and may replace it', async () => {
      middleware.push(async (_run, next) => {
        await next().catch((error: Error) => {
          throw new DiscardJob(`seen: ${error.message}`);
        });
      });
      await system.processor([FullJob]);
      await FullJob.performLater('Ann', 'kill');
      assert.equal(await over(), 'job.discarded');
      assert.equal(system.eventsNamed('job.discarded')[0]?.error.message, 'seen: no use');
    });

    it('skips the job when it does not call next()', async () => {
      middleware.push(async () => undefined);
      await system.processor([FullJob]);
      await FullJob.performLater('Ann');
      assert.equal(await over(), 'job.succeeded');
      assert.deepEqual(steps, []);
    });

    it('fails the job when it does not await next(), and leaves no rejection unhandled', async () => {
      middleware.push(async function careless(_run, next) {
        void next();
      });
      await system.processor([FullJob]);
      await FullJob.performLater('Ann', 'kill');
      assert.equal(await over(), 'job.retrying');
      assert.equal(
        system.eventsNamed('job.retrying')[0]?.error.message,
        'the perform middleware careless did not await next()',
      );
    });
  });
});
