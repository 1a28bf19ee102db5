import assert from 'node:assert/strict';
import { runInContext, withAttributes } from '../../../lib/core/execution-context';
import { CancelEnqueue } from '../../../lib/job/enqueue/callbacks';
import { Job, performAllLater } from '../../../lib/job/job';
import { JobTimeoutError } from '../../../lib/job/perform/timeout';
import { KillJob } from '../../../lib/job/perform/verdict';
import { transaction } from '../../../lib/model/transaction';
import {
  assertEnqueued,
  assertEnqueuedJobs,
  assertNoEnqueued,
  assertPerformed,
  enqueuedJobs,
  performEnqueuedJobs,
  performedJobs,
  type TestDatabase,
  type TestJobs,
  travel,
  travelBack,
  useTestDatabase,
} from '../../../lib/testing';
import { type TestDatabase as Created, createDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { ADAPTERS, type AdapterName, conforms, type Difference } from './adapters';
import {
  BusyError,
  CallbackJob,
  ChainJob,
  ContextJob,
  DebouncedJob,
  EchoJob,
  FlakyJob,
  log,
  Money,
  Note,
  NoteJob,
  RuledJob,
  SlowJob,
  StepsJob,
  UniqueJob,
  VerdictJob,
} from './troupe';

/** The log without the middleware. */
const told = () => log.filter((line) => typeof line !== 'string' || !/(outer|inner)|^report /.test(line));
const lines = (pattern: RegExp) => log.filter((line) => typeof line === 'string' && pattern.test(line));
const outcomes = () => performedJobs().map(({ class: name, outcome, runs }) => [name, outcome, runs]);

describe('the conformance of job adapters', () => {
  let created: Created;
  let redis: TestRedis;
  let database: TestDatabase;

  before(async () => {
    created = await createDatabase({ migrated: ['lib/job/migrations'] });
    await created.query(
      'create table notes (id serial primary key, text text, created_at timestamptz, updated_at timestamptz)',
    );
    redis = await startTestRedis();
    database = await useTestDatabase({ url: created.url });
  });
  after(async () => {
    await database.close();
    await redis.remove();
    await created.drop();
  });

  for (const adapter of Object.keys(ADAPTERS) as AdapterName[]) {
    describe(adapter, () => {
      let jobs: TestJobs;

      beforeEach(async () => {
        jobs = await ADAPTERS[adapter]({ database, redisUrl: redis.url });
        log.length = 0;
      });
      afterEach(async () => {
        travelBack();
        await jobs.restore();
        assert.deepEqual(await created.query('select * from job_outbox'), [], 'every job is gone');
      });

      const conform = (title: string, run: () => Promise<unknown>, differences: { inline?: Difference } = {}) =>
        conforms(adapter, title, run, differences);

      describe('carries', () => {
        conform('arguments there and back', async () => {
          const note = await Note.query().insert({ text: 'kept' });
          const money: unknown = new Money(7, 'EUR');
          const given = [
            'text',
            1.5,
            -0,
            null,
            true,
            new Date(0),
            2n ** 70n,
            [[new Date(1)], { $date: 'mine' }],
            money,
          ];
          await EchoJob.performLater(...(given as [string]));
          await NoteJob.performLater(note);
          await performEnqueuedJobs();
          assert.deepEqual(told(), [given, 'kept']);
          assert.ok(Object.is((told()[0] as unknown[])[2], -0));
          const [echo] = assertPerformed(EchoJob, { args: given as [string], times: 1 });
          assert.deepEqual(echo?.args, given);
          assertPerformed(NoteJob, { args: [note] });
        });

        conform('no arguments that cannot travel', async () => {
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
            withAttributes({ tenant: 7 }, () =>
              ContextJob.set({ queue: 'mailer', tags: ['of the call'] }).performLater(),
            ),
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
        conform('middleware in its order, on both sides', async () => {
          await EchoJob.performLater();
          await performEnqueuedJobs();
          assert.deepEqual(lines(/^enqueue/), ['enqueue outer EchoJob', 'enqueue inner', 'enqueued outer']);
          assert.deepEqual(lines(/^perform/), ['perform outer EchoJob', 'perform inner 1', 'performed outer']);
        });

        conform('callbacks in their order, inside the middleware', async () => {
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
              because: 'the error goes to the caller too',
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
          'retries, and a success at last',
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
          'the last of the retries as death, and says why',
          async () => {
            await FlakyJob.performLater(99);
            await assert.rejects(performEnqueuedJobs(), /^RangeError: failure 3$/);
            assert.deepEqual(outcomes(), [['FlakyJob', 'dead', 3]]);
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
          'attempts by the rule that fits the error',
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

        conform('what is discarded, by rule or by verdict, as no failure', async () => {
          await RuledJob.performLater('type');
          await VerdictJob.performLater('discard');
          await performEnqueuedJobs();
          assert.deepEqual(told(), ['run 1', 'handled wrong', 'after discard: wrong']);
          assert.deepEqual(outcomes(), [
            ['RuledJob', 'discarded', 1],
            ['VerdictJob', 'discarded', 1],
          ]);
        });

        conform(
          'what is killed, and what its timeout ends, as dead',
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
              because: 'the error goes to the caller of performLater',
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
      });

      describe('keeps', () => {
        conform(
          'where a job has come to, for its next run',
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

        conform(
          'one job of a unique key at a time, until it has ended',
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
          },
          {
            inline: {
              because: 'a job has ended before the next one comes; only what it enqueues itself is a duplicate',
              run: async () => {
                const first = await UniqueJob.performLater('a');
                assert.deepEqual(told(), [{ id: first.id, enqueued: false, reason: 'duplicate' }]);
                assert.equal((await UniqueJob.performLater('a')).enqueued, true);
                assertPerformed(UniqueJob, { times: 2 });
              },
            },
          },
        );

        conform('a unique key until the job begins, where it says so', async () => {
          await DebouncedJob.performLater('a', true);
          await performEnqueuedJobs();
          assert.deepEqual(told(), [true, false]);
        });

        conform('a bulk together, and gives an answer for each', async () => {
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
          'in the order of enqueuing, and what jobs enqueue, in whatever queue',
          async () => {
            await ChainJob.performLater(3);
            await EchoJob.set({ queue: 'mailer' }).performLater('a');
            await performEnqueuedJobs();
            assert.deepEqual(told(), [3, ['a'], 2, 1, 0]);
          },
          {
            inline: {
              because: 'what a job enqueues is performed within it',
              run: async () => {
                await ChainJob.performLater(3);
                await EchoJob.set({ queue: 'mailer' }).performLater('a');
                assert.deepEqual(told(), [3, 2, 1, 0, ['a']]);
              },
            },
          },
        );

        conform(
          'what is delayed once it is due by the clock of the test',
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
          'retries when they are due, where the test waits for them',
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

      describe('heeds transactions', () => {
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
            assert.deepEqual(told(), []);
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

        conform('that are given', async () => {
          const trx = await database.knex.transaction();
          await EchoJob.set({ trx }).performLater('kept');
          assertNoEnqueued();
          await trx.commit();
          await assert.rejects(EchoJob.set({ trx }).performLater('too late'));
          const other = await database.knex.transaction();
          await EchoJob.set({ trx: other }).performLater('lost');
          await other.rollback();
          await performEnqueuedJobs();
          assert.deepEqual(told(), [['kept']]);
        });

        conform('in which Postgres has refused a statement, and which it rolls back at COMMIT', async () => {
          await database.knex.transaction(async (trx) => {
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

        conform('which, rolled back, leave a unique key free', async () => {
          await rolledBack(() => UniqueJob.performLater('a'));
          assert.equal((await UniqueJob.performLater('a')).enqueued, true);
        });
      });
    });
  }
});
