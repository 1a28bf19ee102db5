import type { Mutation } from './mutation';

const ENQUEUER = 'test/job/enqueue/enqueuer.test.ts';
const CRON = 'test/job/cron/cron-service.test.ts';
const TRANSACTION = 'test/model/transaction.test.ts';
const SETTLEMENT = 'test/model/transaction-end.test.ts';

/** Mutations of enqueuing, of recurring jobs, and of transactions. */
const mutations: readonly Mutation[] = [
  {
    promise: 'jobs are announced once they are committed, and not before',
    file: 'lib/job/hint/hints.ts',
    find: 'if (knex.isTransaction) onOutcome',
    replace: 'if (knex.isTransaction && scheduled) onOutcome',
    killedBy: ['test/job/enqueue/transactions.test.ts'],
  },
  {
    promise: 'jobs are announced by a notification while Redis takes no hints',
    file: 'lib/job/hint/hints.ts',
    find: "if (pushed === 'failed') this.notifier.notify('unhinted');",
    replace: "if (pushed === 'full') this.notifier.notify('unhinted');",
    killedBy: [ENQUEUER],
  },
  {
    promise: 'a unique job may be enqueued again once it has an outcome',
    file: 'lib/job/perform/executor.ts',
    find: 'await this.options.releaseUnique?.(id);',
    replace: '',
    killedBy: ['test/job/enqueue/unique.test.ts', 'test/job/perform/unique-release.test.ts'],
  },
  {
    promise: 'recurring jobs of a copied database are not enqueued',
    file: 'lib/job/cron/cron-service.ts',
    find: 'if (gate && gate.origin === undefined) return COPY_MS;',
    replace: '',
    killedBy: ['test/job/cron/cron-gate.test.ts'],
  },
  {
    promise: 'an older deploy does not take over the cron table while a newer one runs',
    file: 'lib/job/cron/cron-service.ts',
    find: 'this.claimed = true;',
    replace: '',
    killedBy: [CRON],
  },
  {
    promise: 'a transaction in which a statement has failed rejects',
    file: 'lib/model/transaction.ts',
    find: 'if (refused && !trx.isCompleted()) await checkUsable(trx, refused);',
    replace: '',
    killedBy: [TRANSACTION],
  },
  {
    promise: 'a late query is not lost in a transaction that has ended',
    file: 'lib/model/transaction.ts',
    find: 'return scope?.trx.isCompleted() ? undefined : scope?.trx;',
    replace: 'return scope?.trx;',
    killedBy: [TRANSACTION],
  },
  {
    promise: 'a COMMIT that Postgres answers with ROLLBACK counts as a rollback',
    file: 'lib/internals/transaction-end.ts',
    find: `command === 'COMMIT' || command`,
    replace: `command !== undefined || command`,
    killedBy: [SETTLEMENT],
  },
  {
    promise: 'work in a released savepoint is certain only with the outermost commit',
    file: 'lib/internals/transaction-end.ts',
    find: 'if (!committed || !outer || outer === root)',
    replace: 'if (!committed || !outer || outer !== root)',
    killedBy: [SETTLEMENT],
  },
  {
    promise: 'no tick is enqueued into a database that was restored meanwhile',
    file: 'lib/job/cron/cron-service.ts',
    find: '!(await isMadeAt(trx, gate.origin))',
    replace: "!(await isMadeAt(trx, gate.origin)) && gate.origin === ''",
    killedBy: ['test/job/cron/cron-gate.test.ts'],
  },
  {
    promise: 'a fake job that is replaced keeps its place, as a real one does',
    file: 'lib/testing/memory-jobs.ts',
    find: 'one.place - other.place',
    replace: '0',
    killedBy: ['test/testing/conformance/powers.test.ts'],
  },
  {
    promise: 'a batch of fake jobs that was created in a transaction tells its callbacks',
    file: 'lib/testing/memory-batches.ts',
    find: '{ ...request, trx: undefined }',
    replace: 'request',
    killedBy: ['test/testing/conformance/powers.test.ts'],
  },
];

export default mutations;
