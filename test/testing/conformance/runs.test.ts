import assert from 'node:assert/strict';
import { runInContext, withAttributes } from '../../../lib/core/execution-context';
import { Batch } from '../../../lib/job/batch';
import { BatchEndedError } from '../../../lib/job/definition/batch';
import { JobResultError, JobTimeoutError, KillJob } from '../../../lib/job/definition/errors';
import { CancelEnqueue } from '../../../lib/job/enqueue/callbacks';
import { Job, performAllLater } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import {
  assertNoEnqueued,
  assertNoPerformed,
  assertPerformed,
  performEnqueuedJobs,
  performedJobs,
} from '../../../lib/testing';
import { conformance } from './adapters';
import {
  AskingJob,
  BusyError,
  CallbackJob,
  ContextJob,
  EchoJob,
  FlakyJob,
  KeptJob,
  KeptSecretJob,
  lines,
  log,
  Money,
  Note,
  NoteJob,
  PartJob,
  ReportJob,
  RuledJob,
  SelfCancellingJob,
  SlowJob,
  told,
  VerdictJob,
} from './jobs';

const outcomes = () => performedJobs().map(({ class: name, outcome, runs }) => [name, outcome, runs]);

conformance('runs and their ends', (conform) => {
  describe('carries', () => {
    conform('arguments unchanged', async () => {
      const note = await Note.query().insert({ text: 'kept' });
      const money: unknown = new Money(7, 'EUR');
      const given = ['text', 1.5, -0, null, true, new Date(0), 2n ** 70n, [[new Date(1)], { $date: 'mine' }], money];
      await EchoJob.performLater(...(given as [string]));
      await NoteJob.performLater(note);
      await performEnqueuedJobs();
      assert.deepEqual(told(), [given, 'kept']);
      assert.ok(Object.is((told()[0] as unknown[])[2], -0));
      const [echo] = assertPerformed(EchoJob, { args: given as [string], times: 1 });
      assert.deepEqual(echo?.args, given);
      assertPerformed(NoteJob, { args: [note] });
    });

    conform('results of classes that keep them', async () => {
      const note = await Note.query().insert({ text: 'kept' });
      const value = [new Date(1), 2n, new Money(7, 'EUR') as never];
      const jobs = [await KeptJob.performLater(value), await KeptJob.performLater(value, 'commit')];
      const model = await KeptJob.performLater(note);
      const secret = await KeptSecretJob.performLater('flu');
      const discarded = await KeptJob.performLater(1, 'discard');
      await performEnqueuedJobs();
      for (const job of jobs) assert.deepEqual(await job.result(), value);
      assert.equal(((await model.result()) as Note).text, 'kept');
      assert.deepEqual(await KeptSecretJob.result(secret.id), ['flu']);
      const reason = (wanted: string) => (error: unknown) => error instanceof JobResultError && error.reason === wanted;
      await assert.rejects(discarded.result(), reason('gone'));
      const plain = await EchoJob.performLater('a');
      await assert.rejects(plain.result(), reason('not kept'));
    });

    conform('no arguments that cannot be serialized', async () => {
      const given: unknown = { password: undefined };
      await assert.rejects(EchoJob.performLater(given as string), /EchoJob: argument 1 .password is undefined/);
      await assert.rejects(
        performAllLater([EchoJob.prepare('good'), EchoJob.prepare(given as string)]),
        /argument 1 .password is undefined/,
      );
      await assert.rejects(EchoJob.set({ queue: 'a b' }).performLater(), /queue is "a b"/);
      await performEnqueuedJobs();
      assert.deepEqual(told(), []);
    });

    conform('context, tags and queue', async () => {
      const job = await runInContext({ requestId: 'r-1', locale: 'ko' }, () =>
        withAttributes({ tenant: 7 }, () => ContextJob.set({ queue: 'mailer', tags: ['of the call'] }).performLater()),
      );
      await runInContext({ requestId: 'of whoever performs' }, () => performEnqueuedJobs());
      const { id } = job;
      assert.deepEqual(told(), [
        {
          requestId: 'r-1',
          locale: 'ko',
          attributes: { tenant: 7 },
          jobId: id,
          jobClass: 'ContextJob',
          id,
          attempt: 1,
          queue: 'mailer',
          tags: ['of the class', 'of the call', 'marked'],
        },
      ]);
      const [performed] = assertPerformed(ContextJob, { queue: 'mailer' });
      assert.deepEqual(performed?.tags, ['of the class', 'of the call', 'marked']);
      assert.deepEqual(performed?.context, { requestId: 'r-1', locale: 'ko', attributes: { tenant: 7 } });
    });
  });

  describe('calls', () => {
    conform('middleware in order, when enqueuing and when performing', async () => {
      await EchoJob.performLater();
      await performEnqueuedJobs();
      assert.deepEqual(lines(/^enqueue/), ['enqueue outer EchoJob', 'enqueue inner', 'enqueued outer']);
      assert.deepEqual(lines(/^perform/), ['perform outer EchoJob', 'perform inner 1', 'performed outer']);
    });

    conform('callbacks in order, inside the middleware', async () => {
      await CallbackJob.performLater(false);
      await performEnqueuedJobs();
      assert.deepEqual(lines(/enqueue/), [
        'enqueue outer CallbackJob',
        'enqueue inner',
        'before enqueue false',
        'around enqueue',
        'around enqueued',
        'after enqueue true',
        'enqueued outer',
      ]);
      assert.deepEqual(lines(/perform/), [
        'perform outer CallbackJob',
        'perform inner 1',
        'before perform',
        'around perform',
        'perform',
        'around performed',
        'after perform',
        'performed outer',
      ]);
    });

    conform('nothing further for a job that a callback cancels', async () => {
      class CancelledJob extends Job {
        override beforeEnqueue() {
          throw new CancelEnqueue();
        }
        perform() {
          log.push('performed');
        }
      }
      const job = await CancelledJob.performLater();
      assert.deepEqual([job.enqueued, job.reason], [false, 'cancelled']);
      assertNoEnqueued();
      await performEnqueuedJobs();
      assert.deepEqual(told(), []);
    });

    conform(
      'the error reporter',
      async () => {
        await FlakyJob.performLater(1);
        await VerdictJob.performLater('discard');
        await performEnqueuedJobs();
        assert.deepEqual(lines(/^report/).sort(), ['report discarded: not needed', 'report retrying: failure 1']);
      },
      {
        inline: {
          because: 'the error is also thrown to the caller',
          run: async () => {
            await assert.rejects(FlakyJob.performLater(1), /failure 1/);
            await VerdictJob.performLater('discard');
            assert.deepEqual(lines(/^report/), ['report retrying: failure 1', 'report discarded: not needed']);
          },
        },
      },
    );
  });

  describe('counts', () => {
    conform(
      'a run that is told to wait as no failure',
      async () => {
        await AskingJob.performLater('a');
        await performEnqueuedJobs();
        assert.deepEqual(lines(/^ask/), ['ask a, run 1', 'ask a, run 1']);
        assert.deepEqual([outcomes(), lines(/^report/)], [[['AskingJob', 'succeeded', 2]], []]);
      },
      {
        inline: {
          because: 'the wait is told to the caller',
          run: async () => {
            await assert.rejects(AskingJob.performLater('a'), /no job of its key starts for 3600000 ms/);
            assert.deepEqual(outcomes(), [['AskingJob', 'failed', 1]]);
          },
        },
      },
    );

    conform('no job whose key is no text and no number', async () => {
      await assert.rejects(AskingJob.performLater(null as unknown as string), /AskingJob: the key of its limit/);
    });

    conform(
      'retries, and a final success',
      async () => {
        await FlakyJob.performLater(2);
        await performEnqueuedJobs();
        assert.deepEqual(told(), ['run 1', 'run 2', 'run 3']);
        assert.deepEqual(outcomes(), [['FlakyJob', 'succeeded', 3]]);
      },
      {
        inline: {
          because: 'the first failure is thrown to the caller, and nothing is retried',
          run: async () => {
            await assert.rejects(FlakyJob.performLater(2), /failure 1/);
            assert.deepEqual(outcomes(), [['FlakyJob', 'failed', 1]]);
          },
        },
      },
    );

    conform(
      'a job as dead after its last retry, with the error',
      async () => {
        await FlakyJob.performLater(99);
        await assert.rejects(performEnqueuedJobs(), /^RangeError: failure 3$/);
        assert.deepEqual(outcomes(), [['FlakyJob', 'dead', 3]]);
        assert.throws(
          () => assertNoPerformed(),
          /FlakyJob\(99\) on default, run 3 times: dead \(RangeError: failure 3\)/,
        );
        assert.deepEqual(lines(/^report/), [
          'report retrying: failure 1',
          'report retrying: failure 2',
          'report dead: failure 3',
        ]);
      },
      {
        inline: {
          because: 'there are no retries',
          run: async () => {
            await assert.rejects(FlakyJob.performLater(99), /^RangeError: failure 1$/);
          },
        },
      },
    );

    conform(
      'attempts by the rule that matches the error',
      async () => {
        await RuledJob.performLater('busy');
        await assert.rejects(performEnqueuedJobs(), BusyError);
        assert.deepEqual(told(), ['run 1', 'run 2', 'after discard: busy']);
        assert.deepEqual(outcomes(), [['RuledJob', 'dead', 2]]);
      },
      {
        inline: {
          because: 'there are no retries',
          run: async () => {
            await assert.rejects(RuledJob.performLater('busy'), BusyError);
            assert.deepEqual(told(), ['run 1']);
          },
        },
      },
    );

    conform('a job that is discarded, by a rule or by itself, as discarded, not as failed', async () => {
      await RuledJob.performLater('type');
      await VerdictJob.performLater('discard');
      await performEnqueuedJobs();
      assert.deepEqual(told(), ['run 1', 'handled wrong', 'after discard: wrong']);
      assert.deepEqual(outcomes(), [
        ['RuledJob', 'discarded', 1],
        ['VerdictJob', 'discarded', 1],
      ]);
      assertPerformed(RuledJob, { outcome: 'discarded', times: 1 });
      assert.throws(() => assertPerformed(RuledJob), /RuledJob\('type'\) on default: discarded \(TypeError: wrong\)/);
    });

    conform(
      'a job that is killed or times out as dead',
      async () => {
        await VerdictJob.performLater('kill');
        await assert.rejects(performEnqueuedJobs(), KillJob);
        await SlowJob.performLater();
        await assert.rejects(performEnqueuedJobs(), JobTimeoutError);
        assert.deepEqual(outcomes(), [
          ['VerdictJob', 'dead', 1],
          ['SlowJob', 'dead', 1],
        ]);
      },
      {
        inline: {
          because: 'the error is thrown to the caller of performLater',
          run: async () => {
            await assert.rejects(VerdictJob.performLater('kill'), KillJob);
            await assert.rejects(SlowJob.performLater(), JobTimeoutError);
            assert.deepEqual(outcomes(), [
              ['VerdictJob', 'dead', 1],
              ['SlowJob', 'dead', 1],
            ]);
          },
        },
      },
    );

    conform('a job that is cancelled while it runs as cancelled, unless it is done all the same', async () => {
      for (const end of ['well', 'badly', 'by its signal', 'late'] as const) {
        const { enqueued } = await SelfCancellingJob.performLater(end);
        assert.ok(enqueued);
        await performEnqueuedJobs();
      }
      const cancelled = ['requested', 'after discard: SelfCancellingJob was cancelled: why'];
      assert.deepEqual(told(), ['requested', ...cancelled, ...cancelled, ...cancelled]);
      assert.deepEqual(
        outcomes(),
        ['succeeded', 'cancelled', 'cancelled', 'cancelled'].map((end) => ['SelfCancellingJob', end, 1]),
      );
      assert.equal((await SelfCancellingJob.performLater('badly')).enqueued, true, 'its key is free');
      assert.deepEqual(lines(/^report/), []);
    });

    conform('a job whose model is gone as discarded', async () => {
      const note = await Note.query().insert({ text: 'short-lived' });
      await transaction(async () => {
        await NoteJob.performLater(note);
        await note.$query().delete();
      });
      await performEnqueuedJobs();
      assert.deepEqual(outcomes(), [['NoteJob', 'discarded', 1]]);
      assert.match(String(performedJobs()[0]?.error), /the Note with the id \d+ is gone/);
    });

    conform('a batch by its callbacks, each once, when its jobs and those that they add have ended', async () => {
      const callbacks = { onSuccess: ReportJob.prepare('success'), onComplete: ReportJob.prepare('complete') };
      const batch = await Batch.create(callbacks, (open) =>
        open.add(PartJob.prepare('adds'), PartJob.prepare('works')),
      );
      await performEnqueuedJobs();
      assert.deepEqual(lines(/done/), ['complete: succeeded, 3 done, 0 dead', 'success: succeeded, 3 done, 0 dead']);
      await assert.rejects(batch.add(PartJob.prepare('works')), BatchEndedError);
    });

    conform(
      'a batch that is cancelled, and one whose transaction is rolled back, as if it had never been',
      async () => {
        const later = PartJob.set({ wait: '1h' });
        const batch = await Batch.create({ onComplete: ReportJob.prepare('complete') }, (open) =>
          open.add(later.prepare('works')),
        );
        if ((await batch.status())?.state === 'running')
          assert.deepEqual(await batch.cancel(), { cancelled: 1, requested: 0 });
        let lost: Batch | undefined;
        const failing = transaction(async () => {
          lost = await Batch.create({ onComplete: ReportJob.prepare('lost') }, (open) =>
            open.add(later.prepare('works')),
          );
          throw new Error('rolled back');
        });
        await assert.rejects(failing, /rolled back/);
        await performEnqueuedJobs();
        assert.equal(await lost?.status(), undefined);
        assert.deepEqual(lines(/lost/), []);
      },
    );
  });
});
