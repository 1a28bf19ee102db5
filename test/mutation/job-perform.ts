import type { Mutation } from './mutation';

/** Mutations of how jobs are performed, and of what operators see and do: sets, queues, commands, history, hidden arguments. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a job of a class that only another release has is left to that release, and does not fail',
    file: 'lib/job/perform/outcomes.ts',
    find: `const outcome = error instanceof NotHereError && this.leave(job, error);`,
    replace: `const outcome = error instanceof TypeError && this.leave(job, error as never);`,
    killedBy: ['test/job/perform/leave.test.ts'],
  },
  {
    promise: 'a class that looks like a job but cannot run is reported at the start',
    file: 'lib/job/job-registry.ts',
    find: 'const broken = listExports(module).find(looksLikeJob);',
    replace: 'const broken = listExports(module).find((value): value is JobClass => isJobClass(value));',
    killedBy: ['test/job/registry.test.ts'],
  },
  {
    promise: 'a job is dead after `limit` retries',
    file: 'lib/job/perform/failure-decision.ts',
    find: 'retries >= rules.retry.limit',
    replace: 'retries > rules.retry.limit',
    killedBy: ['test/job/perform/retry-policy.test.ts', 'test/job/perform/executor.test.ts'],
  },
  {
    promise: 'a stop returns running jobs to their queues, and counts no attempt',
    file: 'lib/job/perform/executor.ts',
    find: '      if (run.isAborted) return this.outcomes.returned(job, this.returnsCount);\n',
    replace: '',
    killedBy: ['test/job/perform/checkpoint.test.ts'],
  },
  {
    promise: 'a run with an uncaught error has failed, even if it resolves',
    file: 'lib/job/perform/run.ts',
    find: '(this.uncaught ? reject(this.uncaught) : resolve())',
    replace: 'resolve()',
    killedBy: ['test/job/perform/stray-errors.test.ts'],
  },
  {
    promise: 'the third delivery without an outcome is not the last',
    file: 'lib/job/perform/executor.ts',
    find: 'if (delivery.deliveries > this.options.maxDeliveries)',
    replace: 'if (delivery.deliveries >= this.options.maxDeliveries)',
    killedBy: ['test/job/perform/poisoned-records.test.ts'],
  },
  {
    promise: 'a retry resumes exactly where the failed run ended',
    file: 'lib/job/perform/executor.ts',
    find: '      await run.openCheckpoint?.flush();\n',
    replace: '',
    killedBy: ['test/job/perform/checkpoint.test.ts'],
  },
  {
    promise: 'the counts of a process are added only once when the reply is lost',
    file: 'lib/job/stats/stats-table.ts',
    find: 'on conflict do nothing returning at)',
    replace: 'on conflict (span, at, kind, name) do update set maxima = excluded.maxima returning at)',
    killedBy: ['test/job/stats/history.test.ts'],
  },
  {
    promise: 'a job that kills its processes keeps its count while it is left to others',
    file: 'lib/job/row/end.ts',
    find: "case op when 'retry' then 0",
    replace: "case op when 'retry' then 0 when 'leave' then 0",
    killedBy: ['test/job/perform/leave.test.ts'],
  },
  {
    promise: 'a run whose job was given to another overwrites no cursor',
    file: 'lib/job/perform/checkpoint.ts',
    find: 'where id = ?::uuid and claimed_by = ? and claimed_at = ?::timestamptz`',
    replace: 'where id = ?::uuid and (claimed_by = ? or claimed_at <> ?::timestamptz)`',
    killedBy: ['test/job/perform/checkpoint.test.ts'],
  },
  {
    promise: 'retrying all failed jobs does not include those that fail again',
    file: 'lib/job/sets/job-set.ts',
    find: ` and \${since} <= ?::timestamptz\n`,
    replace: ` and \${since} <= ?::timestamptz + interval '1 hour'\n`,
    killedBy: ['test/job/sets/concurrent-moves.test.ts'],
  },
  {
    promise: 'clearing a queue leaves jobs that were enqueued meanwhile',
    file: 'lib/job/row/moves.ts',
    find: ' and created_at <= ?::timestamptz\n',
    replace: ' and created_at <> ?::timestamptz\n',
    killedBy: ['test/job/admin/queues.test.ts'],
  },
];
export default mutations;
