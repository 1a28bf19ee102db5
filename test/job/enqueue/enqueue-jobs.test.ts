import assert from 'node:assert/strict';
import { withAttributes } from '../../../lib/core/execution-context';
import { EnqueueError } from '../../../lib/job/definition/errors';
import type { EnqueuedJob, EnqueueRequest } from '../../../lib/job/definition/job-class';
import type { EnqueueMiddleware, JobSetup } from '../../../lib/job/definition/setup';
import { CancelEnqueue } from '../../../lib/job/enqueue/callbacks';
import { enqueuesUnderWay } from '../../../lib/job/enqueue/enqueue';
import { Job, performAllLater } from '../../../lib/job/job';
import { deferred } from '../../../lib/support/deferred';

const told: string[] = [];

class GreetJob extends Job<[name: string, times?: number]> {
  static override readonly queue = 'mailer';
  static override readonly tags = ['hello'];
  perform(_name: string, _times?: number): void {}
}

class PickyJob extends Job<[name: string]> {
  static made = 0;
  constructor() {
    super();
    PickyJob.made++;
  }
  override beforeEnqueue(name: string): void {
    told.push(`before ${name}`);
    if (name === 'nobody') throw new CancelEnqueue();
    if (name === 'bad') throw new RangeError('bad name');
  }
  override async aroundEnqueue(enqueue: () => Promise<EnqueuedJob>, name: string): Promise<void> {
    if (name === 'ignored') return;
    told.push(`around ${name}`);
    const { enqueued } = await enqueue();
    // The second call enqueues nothing.
    await enqueue();
    told.push(`around ${name}: ${enqueued}`);
    if (name === 'too late') throw new CancelEnqueue('too late');
  }
  override afterEnqueue(job: EnqueuedJob, name: string): void {
    told.push(`after ${name}: ${job.enqueued}`);
  }
  perform(_name: string): void {}
}

describe('enqueuing', () => {
  /** The requests of each call of the enqueuer. */
  let bulks: EnqueueRequest[][] = [];
  let cancelled: string[] = [];
  let answer: (request: EnqueueRequest) => EnqueuedJob | Error;

  const connect = (setup: JobSetup = {}) => {
    Job.connect(
      {
        enqueue: async (given) => {
          bulks.push([...given]);
          const results = given.map(answer);
          if (results.some((result) => result instanceof Error)) throw new EnqueueError(results);
          return results as EnqueuedJob[];
        },
        cancelled: ({ name }) => cancelled.push(name),
        cancel: assert.fail,
        endings: () => assert.fail(),
        batches: assert.fail,
      },
      { setup },
    );
  };
  beforeEach(() => {
    bulks = [];
    cancelled = [];
    told.length = 0;
    answer = ({ id }) => ({ id, enqueued: true });
    connect();
  });
  after(() => Job.connect(undefined, {}));

  const requests = () => bulks.flat();
  const names = () => requests().map(({ args }) => args[0]);

  describe('many jobs', () => {
    it('of one class are enqueued in one bulk, each with an id of its own', async () => {
      const jobs = await GreetJob.performAllLater([['Ann'], ['Bob', 2]]);
      assert.equal(bulks.length, 1);
      assert.deepEqual(
        requests().map(({ args, queue }) => [args, queue]),
        [
          [['Ann'], 'mailer'],
          [['Bob', 2], 'mailer'],
        ],
      );
      assert.deepEqual(
        jobs,
        requests().map(({ id }) => ({ id, enqueued: true })),
      );
      assert.equal(new Set(jobs.map(({ id }) => id)).size, 2);
    });

    it('of several classes are enqueued with their options', async () => {
      const prepared = PickyJob.set({ wait: '5m', queue: 'slow', tags: ['x'] }).prepare('Bob');
      await performAllLater([GreetJob.set({ tags: ['hello', 'twice'] }).prepare('Ann'), prepared, prepared]);
      assert.deepEqual(
        requests().map(({ name, queue, tags, runAt }) => [name, queue, tags, runAt]),
        [
          ['GreetJob', 'mailer', ['hello', 'twice'], undefined],
          ['PickyJob', 'slow', ['x'], { inMs: 300_000 }],
          ['PickyJob', 'slow', ['x'], { inMs: 300_000 }],
        ],
      );
      assert.equal(
        new Set(requests().map(({ id }) => id)).size,
        3,
        'a prepared job that is enqueued twice is two jobs',
      );
      await GreetJob.set({ queue: 'slow' }).performAllLater([['Ann']]);
      assert.equal(requests().at(-1)?.queue, 'slow');
    });

    it('are checked before any of them is enqueued', async () => {
      const careless: { performAllLater(all: unknown): Promise<unknown> } = GreetJob;
      await assert.rejects(careless.performAllLater([['Ann'], [Number.NaN]]), /GreetJob: argument 1 is NaN/);
      await assert.rejects(
        performAllLater([GreetJob.prepare('Ann'), GreetJob.set({ wait: -1 }).prepare('Bob')]),
        /wait/,
      );
      assert.deepEqual([bulks, enqueuesUnderWay()], [[], 0]);
    });
  });

  describe('callbacks', () => {
    it('surround the enqueue, on one instance', async () => {
      const made = PickyJob.made;
      const job = await PickyJob.performLater('Ann');
      assert.equal(job.enqueued, true);
      assert.deepEqual(told, ['before Ann', 'around Ann', 'around Ann: true', 'after Ann: true']);
      assert.equal(PickyJob.made, made + 1);
      assert.equal(requests().length, 1);
    });

    it('may cancel the enqueue, without an error', async () => {
      for (const name of ['nobody', 'ignored']) {
        const job = await PickyJob.performLater(name);
        assert.deepEqual([job.enqueued, job.reason], [false, 'cancelled']);
        assert.match(job.id, /^[0-9a-f-]{36}$/);
      }
      assert.deepEqual(bulks, []);
      assert.deepEqual(cancelled, ['PickyJob', 'PickyJob']);
      assert.deepEqual(told, ['before nobody', 'before ignored']);
    });

    it('reject performLater when they fail, or cancel after the job was enqueued', async () => {
      await assert.rejects(PickyJob.performLater('bad'), RangeError);
      assert.deepEqual(bulks, []);
      await assert.rejects(PickyJob.performLater('too late'), CancelEnqueue);
      assert.equal(requests().length, 1);
    });

    it('do not include afterEnqueue for a duplicate', async () => {
      answer = () => ({ id: 'other', enqueued: false, reason: 'duplicate' });
      assert.deepEqual(await PickyJob.performLater('Ann'), { id: 'other', enqueued: false, reason: 'duplicate' });
      assert.deepEqual(told, ['before Ann', 'around Ann', 'around Ann: false']);
    });

    it('are called for each of many jobs, which are still enqueued in one bulk', async () => {
      const jobs = await performAllLater([
        PickyJob.prepare('a'),
        GreetJob.prepare('b'),
        PickyJob.prepare('nobody'),
        PickyJob.prepare('c'),
      ]);
      assert.deepEqual(
        jobs.map((job) => job.reason ?? job.enqueued),
        [true, true, 'cancelled', true],
      );
      assert.equal(bulks.length, 1);
      assert.deepEqual(names().sort(), ['a', 'b', 'c']);
      assert.deepEqual(told.filter((line) => line.startsWith('after')).sort(), ['after a: true', 'after c: true']);
    });

    it('that fail for one of many jobs leave the others enqueued, and the error says which', async () => {
      const bulk = performAllLater(['a', 'bad', 'c'].map((name) => PickyJob.prepare(name)));
      await assert.rejects(bulk, (error) => {
        assert.ok(error instanceof EnqueueError);
        assert.match(error.message, /^1 of 3 jobs could not be enqueued, the others were: bad name$/);
        const [a, bad, c] = error.jobs;
        assert.ok(bad instanceof RangeError && error.cause === bad);
        return [a, c].every((job) => job && !(job instanceof Error) && job.enqueued);
      });
      answer = ({ id, args }) => (args[0] === 'c' ? new Error('no room') : { id, enqueued: true });
      const refused = performAllLater(['a', 'c', 'bad'].map((name) => PickyJob.prepare(name)));
      await assert.rejects(refused, { message: /^2 of 3 jobs could not be enqueued, the others were: no room$/ });
    });
  });

  describe('middleware', () => {
    const layer =
      (name: string): EnqueueMiddleware =>
      async (request, next) => {
        told.push(`${name} in`);
        const job = await next(request);
        told.push(`${name} out`);
        return job;
      };

    it('wraps the callbacks, the first one outermost', async () => {
      connect({ enqueueMiddleware: [layer('one'), layer('two')] });
      await PickyJob.performLater('Ann');
      assert.deepEqual(told.slice(0, 3), ['one in', 'two in', 'before Ann']);
      assert.deepEqual(told.slice(-3), ['after Ann: true', 'two out', 'one out']);
    });

    it('may change queue, tags and arguments, which the callbacks then see', async () => {
      connect({
        enqueueMiddleware: [
          (request, next) => next({ ...request, queue: 'other', tags: [...request.tags, 'seen'], args: ['Eve'] }),
        ],
      });
      await PickyJob.performLater('Ann');
      assert.deepEqual(
        requests().map(({ queue, tags, args }) => [queue, tags, args]),
        [['other', ['seen'], ['Eve']]],
      );
      assert.equal(told[0], 'before Eve');
    });

    it('cancels by not calling next, or by throwing CancelEnqueue', async () => {
      const silent = (async () => undefined) as unknown as EnqueueMiddleware;
      const explicit: EnqueueMiddleware = () => {
        throw new CancelEnqueue();
      };
      for (const middleware of [silent, explicit]) {
        connect({ enqueueMiddleware: [middleware] });
        assert.equal((await GreetJob.performLater('Ann')).reason, 'cancelled');
      }
      assert.deepEqual(bulks, []);
      assert.deepEqual(cancelled, ['GreetJob', 'GreetJob']);
    });

    it('may take any time: a bulk settles when all its jobs have', async () => {
      const held = deferred();
      connect({
        enqueueMiddleware: [
          async (request, next) => {
            if (request.args[0] === 'slow') await held.promise;
            if (request.args[0] === 'bad') throw new Error('no');
            return next(request);
          },
        ],
      });
      const bulk = GreetJob.performAllLater([['slow'], ['bad'], ['quick']]);
      bulk.catch(() => held.reject(new Error('it did not wait')));
      while (names().length === 0) await new Promise(setImmediate);
      assert.deepEqual(names(), ['quick']);
      held.resolve();
      await assert.rejects(bulk, EnqueueError);
      assert.deepEqual(names(), ['quick', 'slow']);
    });
  });

  describe('the context', () => {
    it('rejects attributes that are not plain JSON', async () => {
      const late = withAttributes({ at: new Date(0) as never }, () => GreetJob.performLater('Ann'));
      await assert.rejects(late, /withAttributes: at is not plain JSON/);
      const wrong = withAttributes({ on: { f: Number.NaN } }, () => GreetJob.performLater('Ann'));
      await assert.rejects(wrong, /withAttributes: on.*\.f is NaN/);
    });
  });
});
