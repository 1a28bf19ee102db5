import type { Mutation } from './mutation';

const CLAIM = 'lib/job/row/claim.ts';
const LIMITED = 'lib/job/row/limited.ts';
const RESCUE = 'lib/job/row/rescue.ts';
const END = 'lib/job/row/end.ts';
const INSERT = 'lib/job/row/insert.ts';
const BATCH = 'lib/job/row/batch-settling.ts';
const BATCH_TEST = ['test/job/batch.test.ts'];
const CLAIM_TEST = ['test/job/row/claim.test.ts'];
const DEAD_TEST = ['test/job/row/dead.test.ts'];
const CANCEL_TEST = ['test/job/cancel.test.ts'];
const LATEST_TEST = ['test/job/latest-wins.test.ts'];
const PRIORITY_TEST = ['test/job/priority.test.ts'];
const UNIQUE_TEST = ['test/job/enqueue/unique.test.ts'];
const ENQUEUER_TEST = ['test/job/enqueue/enqueuer.test.ts'];

/** Mutations of the rows of jobs: their enqueue, claims, limits, outcomes and deaths, and the rescue from dead processes. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a condition without a value chooses no jobs from code',
    file: 'lib/job/jobs.ts',
    find: "if (value === undefined || value === '')",
    replace: "if (value === '')",
    killedBy: ['test/job/jobs.test.ts'],
  },
  {
    promise: 'an action on a job is for the set that it is in',
    file: 'lib/job/admin/job-admin.ts',
    find: 'if (!sets.includes(place))',
    replace: 'if (sets.length === 0)',
    killedBy: ['test/job/jobs.test.ts'],
  },
  {
    promise: 'a page of finished jobs says when it has not looked at all of them',
    file: 'lib/job/sets/set-reader.ts',
    find: '(select count(*) = ',
    replace: '(select count(*) > ',
    killedBy: ['test/job/sets/page.test.ts'],
  },
  {
    promise: 'a page of finished jobs reads the newest ones of one index, however many there are',
    file: 'lib/job/sets/set-reader.ts',
    find: 'if (reads && !(isFirst && hasOrder))',
    replace: 'if (reads && !hasOrder)',
    killedBy: ['test/job/sets/page.test.ts', 'test/job/sets/million-finished.deep.ts'],
  },
  {
    promise: 'of finished jobs a class keeps as many as it says',
    file: 'lib/job/row/finished.ts',
    find: 'offset classes.keep_limit limit 1',
    replace: 'offset 2 * classes.keep_limit limit 1',
    killedBy: ['test/job/results.test.ts'],
  },
  {
    promise: 'a job that an open transaction has locked delays no other',
    file: CLAIM,
    find: `set_config('lock_timeout', '100ms', true)`,
    replace: `set_config('lock_timeout', '0', true)`,
    killedBy: ['test/job/open-transaction.test.ts'],
  },
  {
    promise: 'a batch that an open transaction holds keeps no others waiting',
    file: BATCH,
    find: `const LOCK_WAIT = '100ms';`,
    replace: `const LOCK_WAIT = '0';`,
    killedBy: BATCH_TEST,
  },
  {
    promise: 'a batch with jobs left has not ended',
    file: BATCH,
    find: `sealed_at is not null and not \${HAS_JOB()} and not`,
    replace: 'sealed_at is not null and not',
    killedBy: BATCH_TEST,
  },
  {
    promise: 'what is added within a transaction of its own belongs to that alone',
    file: 'lib/job/batch.ts',
    find: 'if (!this.waiting || currentTransaction() !== this.filledIn) return',
    replace: 'if (!this.waiting) return',
    killedBy: BATCH_TEST,
  },
  {
    promise: 'a job is claimed by one processor only',
    file: CLAIM,
    find: `where id = \${ids} and \${isClaimable} and limit_key is null`,
    replace: `where id = \${ids} and limit_key is null`,
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'no job of a paused queue is claimed',
    file: CLAIM,
    find: `limit_key is null
       and \${isOpen()}`,
    replace: 'limit_key is null',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'no job of a copied database is claimed',
    file: CLAIM,
    find: `(select origin from \${TABLES.installation}) = ? and (select \${ASYNCHRONOUS}`,
    replace: `?::text is not null and (select \${ASYNCHRONOUS}`,
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'each delivery is counted',
    file: CLAIM,
    find: `claimed_by = ?, deliveries = deliveries + 1, claimed_at`,
    replace: 'claimed_by = ?, claimed_at',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'the limit of a class is never exceeded: jobs that run elsewhere count',
    file: LIMITED,
    find: `most - (select count(*) from \${TABLES.jobs} where limit_key = used.key and state = 'running')) as free`,
    replace: 'most) as free',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'the limit of a class is never exceeded: one processor counts at a time',
    file: LIMITED,
    find: 'select pg_advisory_xact_lock(hashtextextended(key, 0)) from',
    replace: 'select key from',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'held jobs are admitted only as far as their limit is free',
    file: LIMITED,
    find: `running + \${AHEAD}) - ready)::int`,
    replace: `running + \${AHEAD}))::int`,
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'keys take turns where jobs are found without Redis',
    file: LIMITED,
    find: 'row_number() over (partition by limit_key order by priority, run_at) as turn',
    replace: 'row_number() over (order by priority, run_at) as turn',
    killedBy: ['test/job/limits-by-key.test.ts'],
  },
  {
    promise: 'keys take turns: a key with many jobs delays the job of another one by a few',
    file: LIMITED,
    find: `most - running, running + \${AHEAD}) - ready)::int`,
    replace: 'most - running) - ready)::int',
    killedBy: ['test/job/limits-by-key.test.ts'],
  },
  {
    promise: 'jobs of a key that an operator promotes take turns with those of others',
    file: 'lib/job/row/moves.ts',
    find: `set state = \${MAY_RUN_IN_TURN}`,
    replace: "set state = 'ready'",
    killedBy: ['test/job/fairness.deep.ts'],
  },
  {
    promise: 'a job with a small priority runs before others, and one with a large priority after them',
    file: 'lib/job/row/priority.ts',
    find: "state = 'ready' and priority = 0`, 'run_at')",
    replace: "state = 'ready'`, 'run_at desc')",
    killedBy: PRIORITY_TEST,
  },
  {
    promise: 'jobs with a priority are found although no notification has told of them',
    file: 'lib/job/dispatch/dispatcher.ts',
    find: 'if (await isAnyPrioritised(knex)) this',
    replace: 'if (await isAnyPrioritised(knex).then(() => false)) this',
    killedBy: PRIORITY_TEST,
  },
  {
    promise: 'an urgent job of a limit is admitted although another one is ready',
    file: LIMITED,
    find: `state = 'ready' and busy.priority <= looked.priority`,
    replace: `state = 'ready'`,
    killedBy: PRIORITY_TEST,
  },
  {
    promise: 'a rate is never exceeded',
    file: LIMITED,
    find: 'floor(burst - used / gap) + 1',
    replace: 'floor(burst - used / gap) + 2',
    killedBy: ['test/job/rates.test.ts'],
  },
  {
    promise: 'no jobs of a living process are rescued: it shows that it lives while it runs something long',
    file: RESCUE,
    find: `interval '1 millisecond' and \${dead}\``,
    replace: `interval '1 millisecond' and (true or \${dead})\``,
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'no jobs are rescued that were claimed just now, before their process had to show that it lives',
    file: RESCUE,
    find: 'and claimed_at < now() - ?',
    replace: 'and claimed_at < now() + ?',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'no jobs of a living process are rescued: only those of the dead process itself',
    file: RESCUE,
    find: `'and claimed_by = ?'}`,
    replace: `'and claimed_by is distinct from ?'}`,
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'a job that killed three processes is dead: a rescued delivery stays counted',
    file: RESCUE,
    find: 'claimed_by = null from lost',
    replace: 'claimed_by = null, deliveries = 0 from lost',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'a job whose claim was lost with the reply goes back to its queue, and those that run do not',
    file: CLAIM,
    find: 'and id <> all(?::uuid[])',
    replace: 'and id = any(?::uuid[])',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'an outcome is void when another process has the job by now',
    file: END,
    find: `and \${TABLES.jobs}.claimed_by || '' = ? and`,
    replace: `and coalesce(\${TABLES.jobs}.claimed_by = ?, true) is not null and`,
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'an outcome is void when the same process has claimed the job anew',
    file: END,
    find: ` and \${TABLES.jobs}.claimed_at = ended.at\``,
    replace: '`',
    killedBy: CLAIM_TEST,
  },
  {
    promise: 'a job that dies is in the dead set only',
    file: END,
    find: `sql: \`delete from \${TABLES.jobs} using \${THESE} where \${OWNED()} and \${NOT_ASKED()} and \${BRIEFLY} returning \${TABLES.jobs}.*\``,
    replace: `sql: \`select \${TABLES.jobs}.* from \${TABLES.jobs}, \${THESE} where \${OWNED()}\``,
    killedBy: [...CLAIM_TEST, ...DEAD_TEST],
  },
  {
    promise: 'a job that was asked to cancel is not retried, although its process has not heard of it',
    file: END,
    find: `and \${NOT_ASKED()} and \${ASYNCHRONOUS}`,
    replace: `and \${ASYNCHRONOUS}`,
    killedBy: CANCEL_TEST,
  },
  {
    promise: 'a job that was asked to cancel does not run again when its process dies',
    file: RESCUE,
    find: `where \${TABLES.jobs}.id = lost.id and reason is null`,
    replace: `where \${TABLES.jobs}.id = lost.id`,
    killedBy: CANCEL_TEST,
  },
  {
    promise: 'a cancelled job has one outcome, although it was claimed while it was being cancelled',
    file: 'lib/job/row/cancel.ts',
    find: `limit ? for update \${skipsLocked ? 'skip locked' : ''}`,
    replace: 'limit ?',
    killedBy: CANCEL_TEST,
  },
  {
    promise: 'a running job is asked to cancel in whatever process it runs',
    file: 'lib/job/dispatch/dispatch-service.ts',
    find: `if (notice === undefined || notice === 'cancel') onCancelNotice();`,
    replace: '',
    killedBy: CANCEL_TEST,
  },
  {
    promise: 'a unique job is enqueued once',
    file: INSERT,
    find: `'')::uuid, key,\n`,
    replace: `'')::uuid, nullif(key, key),\n`,
    killedBy: UNIQUE_TEST,
  },
  {
    promise: 'two bulks with the same unique keys do not deadlock',
    file: INSERT,
    find: '   order by key`;',
    replace: '   order by n`;',
    killedBy: UNIQUE_TEST,
  },
  {
    promise: 'two bulks that replace the same jobs do not deadlock while one of these begins',
    file: INSERT,
    find: 'order by unique_key for update',
    replace: '',
    killedBy: ['test/job/enqueue/replace-deadlocks.test.ts'],
  },
  {
    promise: 'a bulk that Postgres rejects in part is rejected as a whole',
    file: INSERT,
    find: 'replacing.length > 1;',
    replace: 'replacing.length > 99;',
    killedBy: ENQUEUER_TEST,
  },
  {
    promise: 'a debounced job is postponed until maxWait at most',
    file: INSERT,
    find: `least(\${old}.unique_until, excluded.unique_until)`,
    replace: 'excluded.unique_until',
    killedBy: LATEST_TEST,
  },
  {
    promise: 'a run that fails is not repeated when a later job waits',
    file: INSERT,
    find: 'cancel_reason = coalesce(cancel_reason, ?)',
    replace: `cancel_reason = case when length(?) = 0 then '' end`,
    killedBy: LATEST_TEST,
  },
  {
    promise: 'jobs that wait for each other keep their order when one is retried',
    file: END,
    find: 'run_at = case when in_order then run_at',
    replace: 'run_at = case when false then run_at',
    killedBy: LATEST_TEST,
  },
  {
    promise: 'no processor waits for a transaction that replaces a job',
    file: LIMITED,
    find: 'for update of job skip locked',
    replace: '',
    killedBy: LATEST_TEST,
  },
  {
    promise: 'a batch does not end while a job is added to it',
    file: BATCH,
    find: `select from \${TABLES.batches} where id = ?::uuid`,
    replace: `select from \${TABLES.batches} where false and id = ?::uuid`,
    killedBy: ['test/job/batch.test.ts'],
  },
  {
    promise: 'a callback of a batch is enqueued once',
    file: BATCH,
    find: `(completed_at is null and \${IS_OVER()}) as completes`,
    replace: `(\${IS_OVER()}) as completes`,
    killedBy: ['test/job/batch.test.ts'],
  },
  {
    promise: 'a batch with dead jobs has not succeeded',
    file: BATCH,
    find: `given_up_at is null and not \${HAS_DEAD()} and`,
    replace: 'given_up_at is null and',
    killedBy: ['test/job/batch.test.ts', 'test/process/batch.deep.ts'],
  },
  {
    promise: 'a batch that has ended refuses jobs',
    file: 'lib/job/enqueue/row-enqueuer.ts',
    find: 'await countAdded(knex, added);',
    replace: '',
    killedBy: ['test/job/batch.test.ts'],
  },
];

export default mutations;
