import assert from 'node:assert/strict';
import { EnqueueError } from '../../../lib/job/definition/errors';
import { Job, performAllLater } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import {
  assertEnqueued,
  assertEnqueuedJobs,
  assertNoEnqueued,
  assertPerformed,
  enqueuedJobs,
  performEnqueuedJobs,
  performedJobs,
  travel,
} from '../../../lib/testing';
import { conformance } from './adapters';
import {
  BusyError,
  ChainJob,
  DebouncedJob,
  EachNoteJob,
  EchoJob,
  FlakyJob,
  KeptStepsJob,
  LatestJob,
  Note,
  OrderedJob,
  RankedJob,
  ReminderJob,
  RuledJob,
  SecretJob,
  SnoozyJob,
  StepsJob,
  told,
  UniqueJob,
} from './jobs';

conformance('what is kept, when it runs, and transactions', (conform, grounds) => {
  describe('keeps', () => {
    conform('arguments that are encrypted, which it shows to the test only', async () => {
      await SecretJob.performLater('tuberculosis');
      await performEnqueuedJobs();
      const [{ args } = assert.fail('none')] = assertPerformed(SecretJob, { args: ['tuberculosis'] });
      assert.deepEqual([args, told()], [['tuberculosis'], ['tuberculosis']]);
      assert.throws(
        () => assertEnqueued(SecretJob),
        (error: Error) => /SecretJob\(…\)/.test(error.message) && !/tuberculosis/.test(error.message),
      );
    });

    conform(
      'the checkpoint of a job for its next run',
      async () => {
        await StepsJob.performLater();
        await performEnqueuedJobs();
        assert.deepEqual(told(), [0, 1, 2, 3]);
      },
      {
        inline: {
          because: 'there is no next run',
          run: () => assert.rejects(StepsJob.performLater(), /half way/),
        },
      },
    );

    const notes = async () => (await Note.query().orderBy('id')).map(({ text }) => text);
    const clear = () => Note.query().delete();
    conform(
      'the place of a job in its rows for its next run',
      async () => {
        await clear();
        for (const text of ['a', 'b', 'c', 'd']) await Note.query().insert({ text });
        await EachNoteJob.performLater();
        await performEnqueuedJobs();
        assert.deepEqual(told(), ['a,b', 'c,d']);
      },
      {
        inline: {
          because: 'there is no next run',
          run: async () => {
            await clear();
            for (const text of ['a', 'b', 'c', 'd']) await Note.query().insert({ text });
            await assert.rejects(EachNoteJob.performLater(), /half way/);
          },
        },
      },
    );

    conform(
      'the steps of a job for its next run, unless a rollback takes them back',
      async () => {
        await clear();
        await KeptStepsJob.performLater();
        await performEnqueuedJobs();
        assert.deepEqual(await notes(), ['first', 'second', 'third', 'last']);
        assert.deepEqual(told(), ['first', 'first', 'committed']);
        assert.deepEqual(performedJobs()[0]?.outcome, 'succeeded');
      },
      {
        inline: {
          because: 'there is no next run',
          run: async () => {
            await clear();
            await assert.rejects(KeptStepsJob.performLater(), /half way/);
            assert.deepEqual(await notes(), ['first']);
          },
        },
      },
    );

    conform(
      'no job that is cancelled, unless a rollback takes that back',
      async () => {
        const { id } = await UniqueJob.performLater('a');
        assert.deepEqual([await Job.cancel(id), await Job.cancel(id)], ['cancelled', 'gone']);
        assert.equal((await UniqueJob.performLater('a')).enqueued, true, 'its key is free');
        await EchoJob.set({ wait: '1h', tags: ['x'] }).performLater('b');
        const rolledBack = transaction(async () => {
          assert.deepEqual(await Job.cancelAll({ tag: 'x' }), { cancelled: 1, requested: 0 });
          assert.deepEqual(await UniqueJob.cancelAll(), { cancelled: 1, requested: 0 });
          assertNoEnqueued();
          throw new RangeError('no');
        });
        await assert.rejects(rolledBack, RangeError);
        assertEnqueuedJobs(2);
        assert.equal((await UniqueJob.performLater('a')).enqueued, false);
        assert.deepEqual(await UniqueJob.cancelAll({ tag: 'x' }), { cancelled: 0, requested: 0 });
        await transaction(() => EchoJob.cancelAll());
        assertEnqueuedJobs(1);
        assert.deepEqual(performedJobs(), []);
      },
      {
        inline: {
          because: 'no job waits, except for the commit',
          run: async () => {
            await transaction(async () => {
              const { id } = await EchoJob.performLater('a');
              assert.equal(await Job.cancel(id), 'cancelled');
            });
            assert.deepEqual(told(), []);
            const { id } = await EchoJob.performLater('b');
            assert.equal(await Job.cancel(id), 'gone');
          },
        },
      },
    );

    conform(
      'a unique key until its job has ended',
      async () => {
        const first = await UniqueJob.performLater('a');
        const second = await UniqueJob.performLater('a');
        await UniqueJob.performLater('b');
        assert.deepEqual(second, { id: first.id, enqueued: false, reason: 'duplicate' });
        assertEnqueued(UniqueJob, { times: 2 });
        await performEnqueuedJobs({ queue: 'default' });
        assert.deepEqual(told()[0], { id: first.id, enqueued: false, reason: 'duplicate' });
        assertPerformed(UniqueJob, { times: 2 });
        assert.equal((await UniqueJob.performLater('a')).enqueued, true);
        const { id } = await UniqueJob.performLater('fails');
        await performEnqueuedJobs({ retries: 'due' });
        const meanwhile = await UniqueJob.performLater('fails');
        assert.deepEqual(meanwhile, { id, enqueued: false, reason: 'duplicate' }, 'while it waits for its retry');
      },
      {
        inline: {
          because: 'a job has ended before the next one is enqueued; only what it enqueues itself is a duplicate',
          run: async () => {
            const first = await UniqueJob.performLater('a');
            assert.deepEqual(told(), [{ id: first.id, enqueued: false, reason: 'duplicate' }]);
            assert.equal((await UniqueJob.performLater('a')).enqueued, true);
            assertPerformed(UniqueJob, { times: 2 });
            // A failed job has ended, too.
            for (let n = 0; n < 2; n++) await assert.rejects(UniqueJob.performLater('fails'), RangeError);
          },
        },
      },
    );

    conform("a unique key until its job starts, with until: 'executing'", async () => {
      await DebouncedJob.performLater('a', true);
      await performEnqueuedJobs();
      assert.deepEqual(told(), [true, false]);
    });

    conform(
      'the latest arguments of a job that is replaced, unless a rollback takes them back',
      async () => {
        const { id } = await LatestJob.set({ tags: ['old'] }).performLater('a', 'one');
        assert.deepEqual(await LatestJob.performLater('a', 'two'), { id, enqueued: true, replaced: true });
        const rolledBack = transaction(async () => {
          await LatestJob.performLater('a', 'three');
          assert.equal((await LatestJob.performLater('a', 'four')).id, id);
          throw new RangeError('no');
        });
        await assert.rejects(rolledBack, RangeError);
        assert.deepEqual(assertEnqueued(LatestJob, { times: 1 })[0]?.args, ['a', 'two']);
        await transaction(() => LatestJob.performLater('a', 'five'));
        await performEnqueuedJobs();
        assert.deepEqual(told(), ['five']);
        await LatestJob.performLater('a', 'again');
        await performEnqueuedJobs();
        assert.deepEqual(told(), ['five', 'again', 'the last'], 'a run that fails is not repeated');
      },
      {
        inline: {
          because: 'no job waits, except for the commit',
          run: async () => {
            await transaction(async () => {
              const { id } = await LatestJob.performLater('a', 'one');
              assert.deepEqual(await LatestJob.performLater('a', 'two'), { id, enqueued: true, replaced: true });
            });
            assert.deepEqual(told(), ['two']);
          },
        },
      },
    );

    conform(
      'the order of jobs that wait for each other, when one is retried, too',
      async () => {
        await OrderedJob.performAllLater([['one'], ['fails'], ['three'], ['four']]);
        await performEnqueuedJobs({ retries: 'due' });
        assert.deepEqual(told(), ['one', 'fails'], 'the others wait with it');
        await performEnqueuedJobs();
        assert.deepEqual(told(), ['one', 'fails', 'fails', 'three', 'four']);
      },
      {
        inline: {
          because: 'nothing is retried',
          run: async () => {
            await assert.rejects(OrderedJob.performAllLater([['one'], ['fails'], ['three']]), EnqueueError);
            assert.deepEqual(told(), ['one', 'fails', 'three']);
          },
        },
      },
    );

    conform('the jobs of a bulk, with a result for each', async () => {
      const all = await EchoJob.performAllLater([[1], [2], [3]]);
      assert.equal(new Set(all.map((job) => job.id)).size, 3);
      const mixed = await performAllLater([
        EchoJob.prepare(4),
        UniqueJob.prepare('a'),
        FlakyJob.set({ queue: 'mailer' }).prepare(0),
      ]);
      assert.deepEqual(
        mixed.map((job) => job.enqueued),
        [true, true, true],
      );
      await performEnqueuedJobs();
      assert.equal(performedJobs().length, 6);
      assertPerformed(EchoJob, { times: 4 });
      assertPerformed(FlakyJob, { queue: 'mailer' });
    });
  });

  describe('performs', () => {
    conform(
      'jobs in the order of enqueuing, and those that jobs enqueue, on any queue',
      async () => {
        await ChainJob.performLater(3);
        await EchoJob.set({ queue: 'mailer' }).performLater('a');
        await performEnqueuedJobs();
        assert.deepEqual(told(), [3, ['a'], 2, 1, 0]);
      },
      {
        inline: {
          because: 'a job that is enqueued by a job is performed within that job',
          run: async () => {
            await ChainJob.performLater(3);
            await EchoJob.set({ queue: 'mailer' }).performLater('a');
            assert.deepEqual(told(), [3, 2, 1, 0, ['a']]);
          },
        },
      },
    );

    conform('a job that snoozes once its time has come, at no cost to it', async () => {
      SnoozyJob.snoozes(1);
      const { id } = await SnoozyJob.performLater();
      await performEnqueuedJobs();
      assert.deepEqual(told(), ['run 1']);
      assertEnqueued(SnoozyJob, { at: new Date(Date.now() + 3_600_000), times: 1 });
      const twin = await SnoozyJob.performLater();
      assert.deepEqual(twin, { id, enqueued: false, reason: 'duplicate' }, 'it keeps its unique key');
      await travel('61m', () => performEnqueuedJobs());
      assert.deepEqual(told(), ['run 1', 'run 1']);
      assertPerformed(SnoozyJob, { times: 1 });
    });

    conform(
      'no job that has not begun in time',
      async () => {
        await ReminderJob.performLater('large');
        await ReminderJob.set({ wait: '1h' }).performLater('large');
        await ReminderJob.set({ expiresIn: '1h' }).performLater('large');
        await ReminderJob.performLater('small');
        await travel('9m', () => performEnqueuedJobs({ queue: 'default' }));
        await travel('11m', () => performEnqueuedJobs());
        const [first, , third] = performedJobs({ queue: 'large' });
        assert.deepEqual([first?.outcome, first?.runs, third], ['expired', 0, undefined]);
        await travel('75m', () => performEnqueuedJobs());
        assertPerformed(ReminderJob, { outcome: 'expired', times: 2 });
        assertPerformed(ReminderJob, { times: 1 });
        // What has begun does not expire.
        assertEnqueued(ReminderJob, { queue: 'default', times: 1 });
        assert.deepEqual(told(), ['small', 'JobExpiredError', 'large', 'JobExpiredError', 'small']);
      },
      {
        inline: {
          because: 'each begins at once',
          run: async () => {
            await ReminderJob.set({ wait: '1h' }).performLater('large');
            assertPerformed(ReminderJob);
          },
        },
      },
    );

    conform(
      'the jobs of the smallest priority first, and of one priority as they were enqueued',
      async () => {
        await RankedJob.performLater('last');
        await RankedJob.set({ priority: 0 }).performLater('third');
        await RankedJob.set({ priority: -1 }).performLater('first');
        await RankedJob.set({ priority: -1, wait: '1h' }).performLater('not yet');
        await RankedJob.set({ priority: -1 }).performLater('second');
        for (const priority of [101, -101, 0.5, '1' as never])
          await assert.rejects(
            RankedJob.set({ priority }).performLater('x'),
            /RankedJob: priority is .* from -100 to 100/,
          );
        assert.deepEqual(
          enqueuedJobs().map((job) => job.priority),
          [10, 0, -1, -1, -1],
        );
        await performEnqueuedJobs();
        assert.deepEqual(told(), ['first', 'second', 'third', 'last']);
      },
      {
        inline: {
          because: 'nothing waits',
          run: async () => {
            await assert.rejects(RankedJob.set({ priority: 101 }).performLater('x'), TypeError);
            await RankedJob.performLater('last');
            await RankedJob.set({ priority: -1 }).performLater('first');
            assert.deepEqual(told(), ['last', 'first']);
          },
        },
      },
    );

    conform('jobs on the queue that their arguments choose', async () => {
      await ReminderJob.performLater('large');
      await ReminderJob.set({ queue: 'mailer' }).performLater('large');
      await assert.rejects(ReminderJob.performLater('a b'), /ReminderJob: queue is "a b"/);
      await performEnqueuedJobs();
      const queues = performedJobs().map(({ queue }) => queue);
      assert.deepEqual(queues, ['large', 'mailer']);
    });

    conform(
      'the jobs of a bulk spread over a time',
      async () => {
        const before = Date.now();
        await EchoJob.performAllLater([[1], [2], [3], [4]], { spread: '20m' });
        const minutes = enqueuedJobs().map(({ at }) => at && Math.round((at.getTime() - before) / 60_000));
        assert.deepEqual(minutes, [undefined, 5, 10, 15]);
        const wrong = EchoJob.performAllLater([[1]], { spread: 'soon' as '1s' });
        await assert.rejects(wrong, /EchoJob.performAllLater: spread is "soon"/);
      },
      {
        inline: {
          because: 'nothing waits',
          run: async () => {
            await EchoJob.performAllLater([[1], [2]], { spread: '20m' });
            assertPerformed(EchoJob, { times: 2 });
          },
        },
      },
    );

    conform(
      'scheduled jobs once they are due by the clock of the test',
      async () => {
        await EchoJob.set({ wait: '1h' }).performLater('in an hour');
        await EchoJob.set({ waitUntil: new Date(Date.now() + 86_400_000) }).performLater('tomorrow');
        await performEnqueuedJobs();
        assertEnqueuedJobs(2);
        await travel('61m', () => performEnqueuedJobs());
        assert.deepEqual(told(), [['in an hour']]);
        assertEnqueued(EchoJob, { args: ['tomorrow'], times: 1 });
        await performEnqueuedJobs({ at: new Date(Date.now() + 86_500_000) });
        assert.deepEqual(told(), [['in an hour'], ['tomorrow']]);
      },
      {
        inline: {
          because: 'nothing waits',
          run: async () => {
            await EchoJob.set({ wait: '1h' }).performLater('in an hour');
            assert.deepEqual(told(), [['in an hour']]);
          },
        },
      },
    );

    conform(
      'retries when they are due, if the test asks for that',
      async () => {
        await RuledJob.performLater('busy');
        await performEnqueuedJobs({ retries: 'due' });
        assertEnqueued(RuledJob);
        assert.deepEqual(
          enqueuedJobs().map((job) => job.runs),
          [1],
        );
        await travel('2h', () => assert.rejects(performEnqueuedJobs({ retries: 'due' }), BusyError));
        assert.deepEqual(told(), ['run 1', 'run 2', 'after discard: busy']);
      },
      { inline: { because: 'there are no retries', run: async () => undefined } },
    );
  });

  describe('respects transactions', () => {
    const rolledBack = (work: () => Promise<unknown>) =>
      assert.rejects(
        transaction(async () => {
          await work();
          throw new Error('taken back');
        }),
        /taken back/,
      );

    conform('that commit', async () => {
      await transaction(async () => {
        await transaction(() => EchoJob.performLater('inner'));
        assertNoEnqueued();
        await performEnqueuedJobs();
        assert.deepEqual(told(), []);
        assert.throws(
          () => assertEnqueued(EchoJob),
          /In transactions that have not committed:\n {2}EchoJob\('inner'\)/,
        );
      });
      await performEnqueuedJobs();
      assert.deepEqual(told(), [['inner']]);
    });

    conform('that are rolled back, with all their savepoints', async () => {
      await rolledBack(() => EchoJob.performLater('outer'));
      await rolledBack(() => transaction(() => EchoJob.performLater('a savepoint that was released')));
      await rolledBack(() => EchoJob.performAllLater([[1], [2]]));
      assertNoEnqueued();
      await performEnqueuedJobs();
      assert.deepEqual(told(), []);
    });

    conform('of which a savepoint is rolled back', async () => {
      await transaction(async () => {
        await rolledBack(() => EchoJob.performLater('lost'));
        await EchoJob.performLater('kept');
      });
      await performEnqueuedJobs();
      assert.deepEqual(told(), [['kept']]);
    });

    conform('that are passed explicitly', async () => {
      const trx = await grounds.database.knex.transaction();
      await EchoJob.set({ trx }).performLater('kept');
      assertNoEnqueued();
      await trx.commit();
      await assert.rejects(EchoJob.set({ trx }).performLater('too late'));
      const other = await grounds.database.knex.transaction();
      await EchoJob.set({ trx: other }).performLater('lost');
      await other.rollback();
      await performEnqueuedJobs();
      assert.deepEqual(told(), [['kept']]);
    });

    conform('in which a statement has failed, so that COMMIT rolls back', async () => {
      await grounds.database.knex.transaction(async (trx) => {
        await EchoJob.set({ trx }).performLater('lost');
        await trx.raw('select nonsense').catch(() => undefined);
      });
      await assert.rejects(
        transaction(async (trx) => {
          await EchoJob.performLater('lost');
          await trx.raw('select nonsense').catch(() => undefined);
        }),
        /a statement has failed, so the transaction is rolled back: .*nonsense/,
      );
      assertNoEnqueued();
      await performEnqueuedJobs();
      assert.deepEqual(told(), []);
    });

    conform('that are rolled back, which leaves a unique key free', async () => {
      await rolledBack(() => UniqueJob.performLater('a'));
      assert.equal((await UniqueJob.performLater('a')).enqueued, true);
    });
  });
});
