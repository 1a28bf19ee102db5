import assert from 'node:assert/strict';
import { Batch } from '../../../lib/job/batch';
import { Cron } from '../../../lib/job/cron/run-time-cron';
import { RateLimited } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import Note from '../../fixtures/thread-app/models/note';
import * as jobs from './power-jobs';
import type { Power, World } from './worlds';

const { LimitedJob, HourlyJob, AskingJob, TickJob, SnoozyJob, ExpiringJob, FailingJob, EachJob, PartJob } = jobs;
const { ReportJob, CancellingJob, KeptJob, SecretJob, ReadingJob, LatestJob, OrderedJob, SearchJob } = jobs;
const { SummaryJob, AlertJob, RescuedJob, SpellingJob, DemotedJob } = jobs;

const callbacks = () => ({
  onSuccess: ReportJob.prepare('success'),
  onComplete: ReportJob.prepare('complete'),
  onDeath: ReportJob.prepare('death'),
});

/** What each power of a class means to the author of a test: the same, or what the table says. */
export function definePowers(power: Power): void {
  power('a limit lets so many jobs of a key run at once, in their order', async (world) => {
    await LimitedJob.performAllLater([['a1'], ['a2'], ['a3']]);
    await world.settles(['a1', 'a2', 'a3'].map((text) => `${text}, 1 at once`));
  });

  const uncounted = {
    because: 'no rate is counted',
    run: async (world: World) => {
      await HourlyJob.performAllLater([['one'], ['two']]);
      await world.settles(['one', 'two']);
    },
  };
  power(
    'a rate lets so many jobs start in a time',
    async (world) => {
      await HourlyJob.performAllLater([['one'], ['two']]);
      await world.settles(['one'], 1);
      await world.pass(61);
      await world.settles(['one', 'two']);
    },
    { fake: uncounted, inline: uncounted },
  );

  power(
    'RateLimited holds the key of a job',
    async (world) => {
      await AskingJob.performLater('a');
      await world.settles(['a'], 1);
      await AskingJob.performAllLater([['a'], ['b']]);
      await world.settles(['a', 'b'], 2);
      await world.pass(61);
      await world.settles(['a', 'b', 'a', 'a']);
    },
    {
      fake: {
        because: 'only the job itself waits',
        run: async (world) => {
          await AskingJob.performLater('a');
          await world.settles(['a'], 1);
          await AskingJob.performAllLater([['a'], ['b']]);
          await world.settles(['a', 'a', 'b'], 1);
          await world.pass(61);
          await world.settles(['a', 'a', 'b', 'a']);
        },
      },
      inline: {
        because: 'the wait is told to the caller',
        run: () => assert.rejects(AskingJob.performLater('a'), RateLimited),
      },
    },
  );

  const unasked = {
    because: 'no processor looks at the clock',
    run: async (world: World) => {
      await Cron.upsert('daily', { class: TickJob, at: '0 3 * * *', args: ['tick'] });
      assert.deepEqual(
        (await Cron.list()).map(({ name }) => name),
        ['daily'],
      );
      await world.pass(25 * 60);
      await world.settles([]);
    },
  };
  power(
    'a recurring job that is declared at run time is enqueued at its times',
    async (world) => {
      await Cron.upsert('daily', { class: TickJob, at: '0 3 * * *', args: ['tick'] });
      await world.pass(25 * 60);
      await world.settles(['tick']);
    },
    { fake: unasked, inline: unasked },
  );

  power('a job that snoozes runs again at its time, at no cost to it', async (world) => {
    await SnoozyJob.performLater('run');
    await world.settles(['run 1'], 1);
    await world.pass(61);
    await world.settles(['run 1', 'run 1']);
  });

  power(
    'a job that has not begun in time expires',
    async (world) => {
      await ExpiringJob.set({ wait: '1h' }).performLater('late');
      await world.pass(65);
      await ExpiringJob.set({ wait: '1h' }).performLater('too late');
      await world.settles(['late'], 1);
      await world.pass(75);
      await world.settles(['late', 'JobExpiredError']);
    },
    {
      inline: {
        because: 'it begins at once',
        run: async (world) => {
          await ExpiringJob.set({ wait: '1h' }).performLater('in time');
          await world.settles(['in time']);
        },
      },
    },
  );

  power(
    'a job is retried for as long as its class says',
    async (world) => {
      await FailingJob.performLater('');
      await world.settles(['run 1'], 1);
      await world.pass(5);
      await world.settles(['run 1', 'run 2'], 1);
      await world.pass(65);
      await world.settles(['run 1', 'run 2', 'run 3', 'RangeError']);
    },
    {
      inline: {
        because: 'nothing is retried',
        run: () => assert.rejects(FailingJob.performLater(''), RangeError),
      },
    },
  );

  power(
    'each() goes on in the next run where the last one has ended',
    async (world) => {
      for (const text of ['a', 'b', 'c']) await Note.query().insert({ text });
      await EachJob.performLater();
      await world.settles(['ab'], 1);
      await world.pass(5);
      await world.settles(['ab', 'c']);
    },
    {
      inline: {
        because: 'there is no next run',
        run: async () => {
          for (const text of ['a', 'b', 'c']) await Note.query().insert({ text });
          await assert.rejects(EachJob.performLater(), /half way/);
        },
      },
    },
  );

  power('a batch of a transaction tells once that it has succeeded, jobs that its jobs add included', async (world) => {
    await transaction(() =>
      Batch.create({ onSuccess: ReportJob.prepare('success') }, (batch) =>
        batch.add(PartJob.prepare('adds'), PartJob.prepare('leaves')),
      ),
    );
    await world.settles(['success: succeeded, 3 added, 3 done, 0 dead']);
  });

  power(
    'a batch with a dead job tells of it, and succeeds once that was retried',
    async (world) => {
      const { onComplete, onSuccess } = callbacks();
      const batch = await Batch.create({ onComplete }, (open) =>
        open.add(PartJob.prepare('dies'), PartJob.prepare('works')),
      );
      await world.settles(['complete: completed, 2 added, 1 done, 1 dead']);
      await Batch.create({ parent: batch, onSuccess }, () => undefined);
      await world.settles([
        'complete: completed, 2 added, 1 done, 1 dead',
        'success: succeeded, 0 added, 0 done, 0 dead',
      ]);
      assert.equal((await batch.status())?.total, 3, 'a callback is a job of the batch around it');
      assert.equal(await batch.retryDead(), 1);
      assert.deepEqual(await batch.cancel(), { cancelled: 1, requested: 0 });
    },
    {
      inline: {
        because: 'the filling throws its error',
        run: (world) =>
          assert
            .rejects(
              Batch.create(callbacks(), (open) => open.add(PartJob.prepare('dies'))),
              /as told/,
            )
            .then(() => world.settles(['death: filling, 1 added, 0 done, 1 dead'])),
      },
    },
  );

  power(
    'a batch that is cancelled tells nothing, and its jobs leave',
    async (world) => {
      const batch = await Batch.create(callbacks(), (open) => open.add(PartJob.set({ wait: '1h' }).prepare('works')));
      assert.deepEqual(await batch.cancel(), { cancelled: 1, requested: 0 });
      await world.settles([]);
      assert.equal((await batch.status())?.state, 'cancelled');
    },
    {
      inline: {
        because: 'it has ended',
        run: async () => {
          const batch = await Batch.create({}, (open) => open.add(PartJob.set({ wait: '1h' }).prepare('works')));
          assert.deepEqual(await batch.cancel(), { cancelled: 0, requested: 0 });
          assert.equal((await batch.status())?.state, 'succeeded');
        },
      },
    },
  );

  power('a job that is cancelled while it runs ends as cancelled when it fails', async (world) => {
    await CancellingJob.performLater('why');
    await world.settles(['requested', 'CancellingJob was cancelled: why']);
  });

  power(
    'a job that is cancelled while it waits leaves',
    async (world) => {
      const { id } = await TickJob.performLater('a');
      await TickJob.set({ tags: ['x'] }).performLater('b');
      assert.deepEqual([await Job.cancel(id), await Job.cancel(id)], ['cancelled', 'gone']);
      assert.deepEqual(await TickJob.cancelAll({ tag: 'x' }), { cancelled: 1, requested: 0 });
      await world.settles([]);
    },
    {
      inline: {
        because: 'it has run',
        run: async (world) => {
          assert.equal(await Job.cancel((await TickJob.performLater('a')).id), 'gone');
          await world.settles(['a']);
        },
      },
    },
  );

  power('the result of a job is kept', async (world) => {
    const job = await KeptJob.performLater(7n);
    await world.settles([]);
    assert.deepEqual(await job.result(), { amount: 7n, at: new Date(0) });
  });

  power(
    'a unique job with encrypted arguments is enqueued once, and reads them',
    async (world) => {
      const { id } = await SecretJob.performLater('flu');
      assert.deepEqual(await SecretJob.performLater('flu'), { id, enqueued: false, reason: 'duplicate' });
      await world.settles(['flu']);
      assert.equal((await SecretJob.performLater('flu')).enqueued, true, 'its key is free');
    },
    {
      inline: {
        because: 'the first one has ended',
        run: async (world) => {
          for (let n = 0; n < 2; n++) assert.equal((await SecretJob.performLater('flu')).enqueued, true);
          await world.settles(['flu', 'flu']);
        },
      },
    },
  );

  const readIn = (isMainThread: boolean) => async (world: World) => {
    const note = await Note.query().insert({ text: 'new' });
    let job: Awaited<ReturnType<typeof ReadingJob.performLater>> | undefined;
    const batch = await Batch.create({}, async (open) => {
      job = await ReadingJob.set({ batch: open }).performLater('flu', note);
    });
    await world.settles([]);
    assert.deepEqual(await job?.result(), { secret: 'flu', id: note.id, batch: batch.id, isMainThread });
  };
  const here = { because: 'in the thread of the test', run: readIn(true) };
  power('a job performs in a thread', readIn(false), { fake: here, inline: here });

  power(
    'with replace, the latest arguments count, unless a rollback takes them back',
    async (world) => {
      // The clock stands still: all three are due at the same moment.
      await world.pass(0);
      const { id } = await LatestJob.performLater('a', 'one');
      await LatestJob.performLater('b', 'one');
      assert.deepEqual(await LatestJob.performLater('a', 'two'), { id, enqueued: true, replaced: true });
      const rolledBack = transaction(async () => {
        await LatestJob.performLater('a', 'three');
        throw new RangeError('no');
      });
      await assert.rejects(rolledBack, RangeError);
      await world.settles(['a two', 'b one']);
    },
    {
      inline: {
        because: 'no job waits',
        run: async (world) => {
          for (const text of ['one', 'two']) await LatestJob.performLater('a', text);
          await world.settles(['a one', 'a two']);
        },
      },
    },
  );

  power(
    'with wait, jobs run one after the other, also when one is retried',
    async (world) => {
      await OrderedJob.performAllLater([['one'], ['fails'], ['three']]);
      await world.settles(['one', 'fails'], 2);
      await world.pass(5);
      await world.settles(['one', 'fails', 'fails', 'three']);
    },
    {
      inline: {
        because: 'nothing is retried',
        run: async (world) => {
          await assert.rejects(OrderedJob.performAllLater([['one'], ['fails'], ['three']]), /2 of 3|1 of 3/);
          await world.settles(['one', 'fails', 'three']);
        },
      },
    },
  );

  power(
    'a debounced job runs once it is quiet, or at its maxWait',
    async (world) => {
      for (const text of ['one', 'two']) {
        await SearchJob.performLater(text);
        await world.pass(8);
        await world.settles([], 1);
      }
      await SearchJob.performLater('three');
      await world.pass(5);
      await world.settles(['three']);
    },
    {
      inline: {
        because: 'it does not wait',
        run: async (world) => {
          for (const text of ['one', 'two']) await SearchJob.performLater(text);
          await world.settles(['one', 'two']);
        },
      },
    },
  );

  power(
    'a throttled job runs at once, and then at the end of its time, with the latest arguments',
    async (world) => {
      await SummaryJob.performLater('one');
      await world.settles(['one']);
      for (const text of ['two', 'three']) await SummaryJob.performLater(text);
      await world.settles(['one'], 1);
      await world.pass(61);
      await world.settles(['one', 'three']);
    },
    {
      inline: {
        because: 'it does not wait',
        run: async (world) => {
          for (const text of ['one', 'two']) await SummaryJob.performLater(text);
          await world.settles(['one', 'two']);
        },
      },
    },
  );

  power(
    'retries go to the queue that a class has for them',
    async (world) => {
      await DemotedJob.performLater('runs');
      await world.settles(['runs on default'], 1);
      await world.pass(5);
      await world.settles(['runs on default', 'runs on mailer']);
    },
    { inline: { because: 'nothing is retried', run: () => assert.rejects(DemotedJob.performLater(''), RangeError) } },
  );

  power('the next run finds the fields that a class persists', async (world) => {
    await SpellingJob.performLater('ab');
    await world.settles(['a'], 1);
    await world.pass(61);
    await world.settles(['a', 'ab']);
  });

  power('a job that its class rescues is done', async (world) => {
    await RescuedJob.performLater('bad');
    await world.settles(['1: bad']);
    // Inline, the caller gets the error of a job that dies.
    await RescuedJob.performLater('worse').catch(() => undefined);
    await world.settles(['1: bad', '1: worse', 'KillJob']);
  });

  power('a job that is throttled with discard is not enqueued', async (world) => {
    await AlertJob.performLater('one');
    await world.settles(['one']);
    assert.equal((await AlertJob.performLater('two')).reason, 'throttled');
    await world.pass(61);
    await AlertJob.performLater('three');
    await world.settles(['one', 'three']);
  });
}
