import type { Mutation } from './mutation';

const DEAD_JOBS = 'lib/job/outbox/dead-jobs.ts';
const COMPLETER = 'lib/job/outbox/completer.ts';
const DISPATCH = 'lib/job/queue/dispatch.ts';
const DEAD_JOBS_TEST = ['test/job/outbox/dead-jobs.test.ts'];

/** Mutations of the ways into the dead set and out of it. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a retried or deleted job is not overwritten by the death from which it was retried',
    file: DEAD_JOBS,
    find: 'on conflict do nothing returning id, queue',
    replace: 'on conflict (id, queue, died_at) do update set handed_over_at = clock_timestamp() returning id, queue',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'a job that is deleted after its row was written, but before it left Redis, does not come back',
    file: DEAD_JOBS,
    find: 'where handed_over_at < clock_timestamp() - ?::interval',
    replace: 'where handed_over_at < clock_timestamp() + ?::interval',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'only the death that Postgres has is removed from Redis, and no later one',
    file: DEAD_JOBS,
    find: "if call('zscore', p..'dead', id) == ARGV[a + 1] then",
    replace: "if call('zscore', p..'dead', id) then",
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'deaths that were not handed over are found by a sweep',
    file: COMPLETER,
    find: 'this.unpruned += await handOver(this.options, queue);',
    replace: '',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'a death is handed over at once, without waiting for a sweep',
    file: 'lib/job/perform/outcomes.ts',
    find: "if (outcome.op === 'dead') onDied(queue, id);",
    replace: "if (outcome.op === 'dead') onFinished(queue, id);",
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'dead jobs that are too old, or too many, are removed',
    file: DEAD_JOBS,
    find: 'where (old or rank > ?)',
    replace: 'where (old and rank > ?)',
    killedBy: ['test/job/sets/dead-set.test.ts'],
  },
  {
    promise: 'a job that moves between Redis and Postgres while it is looked for is found',
    file: 'lib/job/sets/find-job.ts',
    find: '  if (moved) return moved;\n',
    replace: '',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'a retried job is dispatched though its former end is remembered',
    file: DISPATCH,
    find: `or died == '' and call('zscore', p..'tombstones', id) then state = 'f'`,
    replace: `or call('zscore', p..'tombstones', id) then state = 'f'`,
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'a retried job is dispatched though Redis still has its death',
    file: DISPATCH,
    find: `if died ~= '' and call('zscore', p..'dead', id) == died then`,
    replace: 'if false then',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'a retried job that has died again is not dispatched again by the row that a killed relay left',
    file: DISPATCH,
    find: `if died ~= '' and call('zscore', p..'dead', id) == died then`,
    replace: `if died ~= '' and call('zscore', p..'dead', id) then`,
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'the row of a job that dies is deleted only when the job is dead in Postgres',
    file: 'lib/job/hint/keys.ts',
    find: `leaveMarkers(p, id, (markers:gsub('f', '')))`,
    replace: 'leaveMarkers(p, id, markers)',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'a job that succeeds after all is no longer dead',
    file: DEAD_JOBS,
    find: '.queue = ended.queue',
    replace: '.queue = ended.queue and false',
    killedBy: DEAD_JOBS_TEST,
  },
  {
    promise: 'retrying all dead jobs does not chase those that die again',
    file: 'lib/job/sets/dead-set.ts',
    find: 'until: Math.min(newest, filter.until ?? newest) }',
    replace: 'until: filter.until }',
    killedBy: ['test/job/sets/concurrent-moves.test.ts'],
  },
  {
    promise: 'a mail whose dead job is moving from Redis to Postgres is not counted as to be retried',
    file: 'lib/job/sets/find-job.ts',
    find: `  // Redis is read first: a job that has died is written to Postgres before it leaves the dead set in Redis.
  for (const queue of await knownQueues(redis, queues)) {
    const died = await answerWithin(ANSWER_MS, redis.zmScore(queueKey(queue, 'dead'), asked));
    for (const [index, at] of died.entries()) if (at !== null) coming.delete(asked[index] ?? '');
  }
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    \`select id from \${TABLES.dead} where id = any(?::text[])\`,
    [asked],
  );
`,
    replace: `  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    \`select id from \${TABLES.dead} where id = any(?::text[])\`,
    [asked],
  );
  // Redis is read first: a job that has died is written to Postgres before it leaves the dead set in Redis.
  for (const queue of await knownQueues(redis, queues)) {
    const died = await answerWithin(ANSWER_MS, redis.zmScore(queueKey(queue, 'dead'), asked));
    for (const [index, at] of died.entries()) if (at !== null) coming.delete(asked[index] ?? '');
  }
`,
    killedBy: ['test/health/mail-facts.test.ts'],
  },
];

export default mutations;
