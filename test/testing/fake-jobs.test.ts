import assert, { AssertionError } from 'node:assert/strict';
import { NotHereError } from '../../lib/job/definition/errors';
import { Job } from '../../lib/job/job';
import {
  assertEnqueued,
  assertEnqueuedJobs,
  assertNoEnqueued,
  assertNoPerformed,
  assertPerformed,
  assertPerformedJobs,
  enqueuedJobs,
  performEnqueuedJobs,
  performedJobs,
  type TestJobs,
  travelBack,
  travelTo,
  useFakeJobs,
  useInlineJobs,
} from '../../lib/testing';

const log: string[] = [];

class GreetJob extends Job<[name: string, options?: { readonly password?: string; readonly at?: Date }]> {
  static override queue = 'mailer';

  perform(name: string, _options?: { readonly password?: string; readonly at?: Date }) {
    log.push(`${name} ${this.context.attempt}`);
  }
}

class ChainJob extends Job<[left: number]> {
  async perform(left: number) {
    log.push(`chain ${left}`);
    if (left > 0) await ChainJob.performLater(left - 1);
  }
}

class FlakyJob extends Job<[fails: number]> {
  static override retry = { limit: 3 };

  perform(fails: number) {
    log.push(`flaky ${this.context.attempt}`);
    if (this.context.attempt <= fails) throw new RangeError(`run ${this.context.attempt} failed`);
  }
}

class HourlyJob extends Job {
  static override unique = { ttl: '1h' } as const;

  perform() {}
}

class ElsewhereJob extends Job {
  static override unique = true;

  perform() {
    throw new NotHereError('another release has it');
  }
}

class PerformJob extends Job {
  perform() {
    return performEnqueuedJobs({ only: GreetJob });
  }
}

describe('fake jobs', () => {
  let jobs: TestJobs;
  beforeEach(async () => {
    log.length = 0;
    jobs = await useFakeJobs();
  });
  afterEach(async () => {
    travelBack();
    await jobs.restore();
  });

  describe('are enqueued', () => {
    it('and kept, with all their data, until they are performed', async () => {
      const { id } = await GreetJob.performLater('Ann');
      assert.deepEqual(log, []);
      assert.deepEqual(enqueuedJobs(), [
        {
          id,
          class: 'GreetJob',
          args: ['Ann'],
          queue: 'mailer',
          priority: 0,
          at: undefined,
          tags: [],
          context: {},
          runs: 0,
        },
      ]);
      await performEnqueuedJobs();
      assert.deepEqual(log, ['Ann 1']);
      assert.deepEqual(enqueuedJobs(), []);
      assert.deepEqual(
        performedJobs().map((job) => [job.id, job.outcome, job.runs]),
        [[id, 'succeeded', 1]],
      );
    });

    it('with a copy of their arguments', async () => {
      const options = { password: 'first' };
      await GreetJob.performLater('Ann', options);
      options.password = 'second';
      assertEnqueued(GreetJob, { args: ['Ann', { password: 'first' }] });
    });

    it('keep their unique key while they are left to another release', async () => {
      const { id } = await ElsewhereJob.performLater();
      await assert.rejects(performEnqueuedJobs(), /another release has it/);
      assert.deepEqual(await ElsewhereJob.performLater(), { id, enqueued: false, reason: 'duplicate' });
    });

    it('once, if they are unique, until their ttl is over, which begins when they are due', async () => {
      travelTo('2030-01-01T00:00:00Z');
      await HourlyJob.set({ wait: '1d' }).performLater();
      for (const [at, enqueued] of [
        ['2030-01-02T00:59:59Z', false],
        ['2030-01-02T01:00:00Z', true],
      ] as const)
        assert.equal(await travelTo(at, async () => (await HourlyJob.performLater()).enqueued), enqueued, at);
    });

    it('only after useFakeJobs()', async () => {
      await jobs.restore();
      assert.throws(() => enqueuedJobs(), /enqueuedJobs needs test jobs: call useFakeJobs\(\)/);
      await assert.rejects(GreetJob.performLater('Ann'), /in a process that is not connected/);
    });

    it('in the test jobs that were connected last', async () => {
      await GreetJob.performLater('outer');
      const inner = await useFakeJobs();
      await GreetJob.performLater('inner');
      assertEnqueuedJobs(1);
      await inner.restore();
      await inner.restore();
      assertEnqueued(GreetJob, { args: ['outer'], times: 1 });
      jobs.clear();
      assertNoEnqueued();
    });
  });

  describe('are asserted', () => {
    it('by class, arguments, queue, time, number and a predicate', async () => {
      travelTo('2030-01-01');
      await GreetJob.performLater('Ann', { at: new Date() });
      await GreetJob.set({ queue: 'slow', wait: '1h' }).performLater('Bob');
      const [bob] = assertEnqueued(GreetJob, { args: ['Bob'], queue: 'slow', wait: '1h' });
      assert.deepEqual(bob?.at, new Date('2030-01-01T01:00:00Z'));
      assertEnqueued(GreetJob, { at: new Date('2030-01-01T01:00:01Z'), times: 1 });
      assertNoEnqueued(GreetJob, { at: new Date('2030-01-01T01:00:01.001Z') });
      assertEnqueued(GreetJob, { at: null, args: ['Ann', { at: new Date() }] });
      assertNoEnqueued(GreetJob, { at: null, args: ['Bob'] });
      assert.equal(assertEnqueued(GreetJob, { times: 2 }).length, 2);
      assertEnqueued(GreetJob, { where: ({ args: [name] }) => name === 'Bob', times: 1 });
      assertEnqueuedJobs(2);
      assertEnqueuedJobs(1, undefined, { only: GreetJob, queue: 'slow' });
      assertEnqueuedJobs(0, undefined, { except: [GreetJob] });
      assertNoEnqueued(ChainJob);
      assertNoEnqueued(GreetJob, { args: ['Cid'] });
      assert.deepEqual(
        enqueuedJobs({ queue: 'slow' }).map((job) => job.args),
        [['Bob']],
      );
      assert.throws(() => enqueuedJobs({ only: GreetJob, except: ChainJob }), /either only or except/);
    });

    it('with a stack that starts at the test', () => {
      try {
        assertEnqueued(GreetJob);
        assert.fail('it passed');
      } catch (error) {
        assert.match((error as Error).stack?.split('\n    at ')[1] ?? '', /fake-jobs\.test/);
        assert.deepEqual([(error as AssertionError).actual, (error as AssertionError).expected], [0, 1]);
      }
    });

    it('within a block only', async () => {
      await GreetJob.performLater('forgotten');
      jobs.clear();
      await GreetJob.performLater('before');
      await assertEnqueuedJobs(1, () => GreetJob.performLater('Ann'));
      await assertEnqueued(GreetJob, { args: ['Bob'], times: 1 }, () => GreetJob.performLater('Bob'));
      await assertNoEnqueued(GreetJob, {}, () => ChainJob.performLater(0));
      await assert.rejects(
        assertEnqueued(GreetJob, { args: ['before'] }, () => GreetJob.performLater('Cid')),
        /found none\nEnqueued:\n {2}GreetJob\('Cid'\) on mailer\nPerformed: none$/,
      );
      await assert.rejects(
        assertNoEnqueued(undefined, {}, () => GreetJob.performLater('Dan')),
        AssertionError,
      );
      await assertPerformed(ChainJob, { times: 3 }, () => performEnqueuedJobs(() => ChainJob.performLater(2)));
      assertPerformedJobs(3, undefined, { only: ChainJob });
      assert.deepEqual(performedJobs({ except: ChainJob }), []);
      assert.throws(
        () => assertNoPerformed(ChainJob, { args: [1] }),
        /ChainJob\(1\): none should be performed, found 1/,
      );
      await assertNoPerformed(undefined, {}, () => ChainJob.performLater(2));
      await assertPerformedJobs(0, () => ChainJob.performLater(2));
      await assert.rejects(
        assertEnqueuedJobs(0, () => Promise.reject(new RangeError('of the work'))),
        RangeError,
      );
    });

    it('with the types of the job', () => {
      const neverRun = () => {
        // @ts-expect-error a number is not a name
        assertEnqueued(GreetJob, { args: [5] });
        // @ts-expect-error an enqueued job has no outcome yet
        assertEnqueued(GreetJob, { outcome: 'dead' });
        // @ts-expect-error not a job
        assertEnqueued(Date);
      };
      assert.equal(typeof neverRun, 'function');
    });
  });

  describe('are performed', () => {
    it('as long as a job enqueues another, up to a limit', async () => {
      await ChainJob.performLater(20_000);
      await assert.rejects(performEnqueuedJobs(), /performed 10000 jobs, and ChainJob is still enqueued/);
      assert.throws(() => assertNoPerformed(), /ChainJob\(19981\) on default\n {2}and 9980 more$/);
    });

    it('once, although one of them performs the others', async () => {
      await PerformJob.performLater();
      await GreetJob.performLater('Ann');
      await performEnqueuedJobs();
      assert.deepEqual(log, ['Ann 1']);
    });

    it('in the order in which they are due, and retries after all others', async () => {
      travelTo('2030-01-01');
      await FlakyJob.performLater(1);
      await GreetJob.set({ wait: '2h' }).performLater('Bob');
      await GreetJob.set({ wait: '1h' }).performLater('Ann');
      await GreetJob.set({ wait: '25h' }).performLater('too late');
      await performEnqueuedJobs({ at: new Date('2030-01-02') });
      assert.deepEqual(log, ['flaky 1', 'Ann 1', 'Bob 1', 'flaky 2']);
    });

    it('only if they match the filter', async () => {
      await GreetJob.performLater('Ann');
      await ChainJob.performLater(0);
      await performEnqueuedJobs({ only: ChainJob });
      assert.deepEqual(log, ['chain 0']);
      await performEnqueuedJobs({ except: [ChainJob, GreetJob] });
      await performEnqueuedJobs({ queue: 'default' });
      assertEnqueuedJobs(1);
      await performEnqueuedJobs(() => ChainJob.performLater(1));
      assert.deepEqual(log, ['chain 0', 'chain 1', 'chain 0']);
      const result = await performEnqueuedJobs(async () => 'given back', { queue: 'mailer' });
      assert.equal(result, 'given back');
      assert.equal(log.length, 3, 'jobs from before the block are left alone');
      await performEnqueuedJobs({ queue: 'mailer' });
      assert.deepEqual(log.at(-1), 'Ann 1');
    });
  });

  describe('are retried', () => {
    it("not at all with retries: 'never'", async () => {
      await FlakyJob.performLater(1);
      await assert.rejects(performEnqueuedJobs({ retries: 'never' }), /run 1 failed/);
      assert.deepEqual(log, ['flaky 1']);
      assertEnqueued(FlakyJob);
    });
  });
});

it('inline jobs never stay enqueued, and a failed assertion says so', async () => {
  const jobs = await useInlineJobs();
  await ChainJob.performLater(0);
  assert.throws(
    () => assertEnqueued(ChainJob),
    /found none\nPerformed:\n {2}ChainJob\(0\) on default\n\(useInlineJobs performs every job at once/,
  );
  await jobs.restore();
});
