import type { Mutation } from './mutation';

const OUTBOX = 'test/job/outbox.test.ts';
const RECONCILER = 'test/job/outbox/reconciler.test.ts';
const RELAY = 'test/job/outbox/relay.test.ts';
const ROAD = 'test/job/enqueue/redis-enqueuer.test.ts';
const ENQUEUER = 'test/job/enqueue/enqueuer.test.ts';
const LISTENER = 'test/job/outbox/listener.test.ts';
const LEADERSHIP = 'test/job/outbox/leadership.test.ts';
const UNIQUE = 'test/job/enqueue/unique.test.ts';
const CRON = 'test/job/cron/cron-service.test.ts';
const TRANSACTION = 'test/model/transaction.test.ts';
const SETTLEMENT = 'test/model/transaction-end.test.ts';

/** Mutations of the outbox, of enqueuing, unique and recurring jobs, and of transactions. */
const mutations: readonly Mutation[] = [
  {
    promise: 'enqueuing on a queue that JOB_QUEUES lacks logs a warning',
    file: 'lib/job/enqueue/enqueuer.ts',
    find: 'if (this.served?.includes(request.queue) === false)',
    replace: 'if (this.served?.length === 0)',
    killedBy: [ENQUEUER],
  },
  {
    promise: 'the outbox is checked when the clock has jumped',
    file: 'lib/job/outbox/service.ts',
    find: '    this.relay.recover();\n    onClockJump?.();',
    replace: '    onClockJump?.();',
    killedBy: ['test/job/clock.test.ts'],
  },
  {
    promise: 'a job whose notification a silent LISTEN connection has lost is looked for',
    file: 'lib/job/outbox/service.ts',
    find: 'this.listener.expectNotice(Number(ageMs))',
    replace: 'void ageMs',
    killedBy: [LISTENER],
  },
  {
    promise: "a LISTEN connection that no longer delivers the relay's notifications is replaced",
    file: 'lib/job/outbox/service.ts',
    find: 'this.listener.expectEcho(sentAt)',
    replace: 'void sentAt',
    killedBy: [LISTENER],
  },
  {
    promise: 'a relay that was frozen dispatches no row that another may have dispatched since',
    file: 'lib/job/outbox/relay.ts',
    find: '{ before: () => lock.confirm(trx) }',
    replace: '{}',
    killedBy: ['test/job/outbox/frozen-relay.deep.ts'],
  },
  {
    promise: 'Postgres releases the rows of a frozen relay',
    file: 'lib/job/outbox/table.ts',
    find: "_timeout', '10000', true",
    replace: "_timeout', '0', true",
    killedBy: ['test/job/outbox/frozen-relay.deep.ts'],
  },
  {
    promise: 'an enqueue that reaches Redis long after its timeout creates no duplicate',
    file: 'lib/job/enqueue/redis-enqueuer.ts',
    find: 'const notAfter = Date.now() + limitMs + CLOCK_SLACK_MS;',
    replace: 'const notAfter = 0;',
    killedBy: [ROAD],
  },
  {
    promise: 'after a timeout, enqueues use Redis again, even if the clock was set back',
    file: 'lib/job/enqueue/redis-enqueuer.ts',
    find: 'this.avoidUntil = performance.now() + this.avoidMs;',
    replace: 'this.avoidUntil = Date.now() + this.avoidMs;',
    killedBy: [ROAD],
  },
  {
    promise: 'a bulk that Redis does not answer is given up as a whole',
    file: 'lib/job/enqueue/redis-enqueuer.ts',
    find: 'if (refusal) return { sent, refusal };',
    replace: 'if (refusal) continue;',
    killedBy: [ROAD],
  },
  {
    promise: 'a job that has ended is not queued again by a duplicate dispatch',
    file: 'lib/job/queue/dispatch.ts',
    find: `or died == '' and call('zscore', p..'tombstones', id) then state = 'f'`,
    replace: `then state = 'f'`,
    killedBy: [RELAY],
  },
  {
    promise: 'if Postgres rejects a part of a bulk, nothing of it is left in Redis',
    file: 'lib/job/enqueue/enqueuer.ts',
    find: `      for (const [knex, given] of byConnection) await this.toOutbox(given, 'outbox', knex, jobs);
      if (straight.length > 0) await this.toRedis(straight, jobs);`,
    replace: `      if (straight.length > 0) await this.toRedis(straight, jobs);
      for (const [knex, given] of byConnection) await this.toOutbox(given, 'outbox', knex, jobs);`,
    killedBy: [ENQUEUER],
  },
  {
    promise: 'one tree at a time relays: the others wait for the leader',
    file: 'lib/job/dispatch/leadership.ts',
    find: 'return this.leader === undefined || this.isLeader || !this.hears;',
    replace: 'return true;',
    killedBy: [LEADERSHIP],
  },
  {
    promise: 'one tree at a time compares the outbox with a Redis that may have lost its data',
    file: 'lib/job/outbox/reconciler.ts',
    find: 'if (run.othersCompare) return undefined;',
    replace: '',
    killedBy: ['test/job/outbox/reconciler-lease.test.ts'],
  },
  {
    promise: 'a tree that does not lead sends Postgres no query while others relay',
    file: 'lib/job/outbox/reconciler.ts',
    find: 'if (await isCompared(redis, this.runId)) {',
    replace: 'if ((await this.options.mayDispatch()) && (await isCompared(redis, this.runId))) {',
    killedBy: [LEADERSHIP, 'test/job/outbox/reconciler-lease.test.ts'],
  },
  {
    promise: 'a relay that leads and cannot work is not waited for',
    file: 'lib/job/dispatch/leadership.ts',
    find: 'this.unansweredAt ??= this.now();',
    replace: '',
    killedBy: [LEADERSHIP],
  },
  {
    promise: 'an idle relay polls Postgres less and less often',
    file: 'lib/job/outbox/relay.ts',
    find: 'Math.min(MAX_POLL_MS, this.pollMs * POLL_GROWTH) : POLL_MS;',
    replace: 'POLL_MS : POLL_MS;',
    killedBy: [LEADERSHIP],
  },
  {
    promise: 'an idle tree does not keep Postgres awake with health checks',
    file: 'lib/tree/tree-reporter.ts',
    find: 'if (seen.since === undefined && isConnected && !isDue && this.options.isIdle?.()) return;',
    replace: '',
    killedBy: ['test/tree/outage-watch.test.ts'],
  },
  {
    promise: 'a relay that ends says so',
    file: 'lib/job/outbox/service.ts',
    find: 'if (!leadership.isLeader) return;',
    replace: 'if (leadership.isLeader) return;',
    killedBy: [LEADERSHIP],
  },
  {
    promise: 'the outbox deletes the rows of ended jobs',
    file: 'lib/job/outbox/relay.ts',
    find: 'if (ended.length > 0) await deleteRows(trx, ended);',
    replace: '',
    killedBy: [RELAY],
  },
  {
    promise: 'a full queue gets no more jobs, so Redis stays bounded',
    file: 'lib/job/outbox/relay.ts',
    find: 'gauge.isLowOnMemory ? SMALL_BATCH : BATCH, this.fullQueues);',
    replace: 'gauge.isLowOnMemory ? SMALL_BATCH : BATCH);',
    killedBy: [RELAY],
  },
  {
    promise: 'a stop records the ends of jobs that were still in a batch',
    file: 'lib/support/periodic-task.ts',
    find: 'if (isDue) await this.once();',
    replace: '',
    killedBy: ['test/support/periodic-task.test.ts'],
  },
  {
    promise: 'an outage of Postgres loses no end that this process knows',
    file: 'lib/job/outbox/completer.ts',
    find: `      await deleteEnded(this.options.knex, batch);
      this.finished.splice(0, batch.length);`,
    replace: `      this.finished.splice(0, batch.length);
      await deleteEnded(this.options.knex, batch);`,
    killedBy: [OUTBOX],
  },
  {
    promise: 'an outage of Postgres loses no end that a dead process has left in Redis',
    file: 'lib/job/outbox/completer.ts',
    find: `      await deleteEnded(
        knex,
        ids.map((id) => ({ queue, id })),
      );
      await answerWithin(ANSWER_MS, redis.zRem(key, ids));`,
    replace: `      await answerWithin(ANSWER_MS, redis.zRem(key, ids));
      await deleteEnded(
        knex,
        ids.map((id) => ({ queue, id })),
      );`,
    killedBy: [OUTBOX],
  },
  {
    promise: 'a running job that Redis has lost is not dispatched twice',
    file: 'lib/job/outbox/reconciler.ts',
    find: `inState('unknown').filter((id) => !isRunning(id));`,
    replace: `inState('unknown').filter((id) => isRunning(id) || id !== '');`,
    killedBy: [RECONCILER],
  },
  {
    promise: 'rows that a relay was dispatching while Redis lost its data come back',
    file: 'lib/job/outbox/reconciler.ts',
    find: 'const WHOLE_WALKS = 2;',
    replace: 'const WHOLE_WALKS = 1;',
    killedBy: [RECONCILER],
  },
  {
    promise: 'jobs that Redis loses unnoticed come back',
    file: 'lib/job/outbox/reconciler.ts',
    find: 'await this.walk(ROUTINE_PAGES);',
    replace: '',
    killedBy: [RECONCILER],
  },
  {
    promise: 'all jobs that Redis has lost come back, however many',
    file: 'lib/job/outbox/reconciler.ts',
    find: 'this.cursor = last && rows.length === this.page ? {',
    replace: 'this.cursor = last && rows.length < 0 ? {',
    killedBy: [RECONCILER],
  },
  {
    promise: 'relays are notified at once of committed rows',
    file: 'lib/job/outbox/insert.ts',
    find: 'void (committed && this.note())',
    replace: 'void (committed || this.note())',
    killedBy: [OUTBOX],
  },
  {
    promise: 'two bulks with the same unique keys do not deadlock',
    file: 'lib/job/outbox/insert.ts',
    find: '     order by key\n',
    replace: '',
    killedBy: [UNIQUE],
  },
  {
    promise: 'jobs of one bulk keep their order in the outbox',
    file: 'lib/job/outbox/insert.ts',
    find: " + n * interval '1 microsecond'`;",
    replace: '`;',
    killedBy: [ENQUEUER],
  },
  {
    promise: 'a unique claim expires',
    file: 'lib/job/outbox/insert.ts',
    find: 'rows.filter((row) => row.over)',
    replace: 'rows.filter((row) => row.over && row.key === row.id)',
    killedBy: [UNIQUE],
  },
  {
    promise: 'a unique job may be enqueued again once it has an outcome',
    file: 'lib/job/perform/executor.ts',
    find: `if (job.payload.unique === 'executed') await this.releaseClaim(job);`,
    replace: '',
    killedBy: [UNIQUE],
  },
  {
    promise: 'a changed schedule takes effect once',
    file: 'lib/job/cron/cron-service.ts',
    find: 'if (!row || !isSame(row, entry)) return undefined;',
    replace: 'if (!row) return undefined;',
    killedBy: [CRON],
  },
  {
    promise: 'ticks that a pause has skipped are not caught up',
    file: 'lib/job/cron/cron-table.ts',
    find: 'settled_until = case when paused then clock_timestamp() else settled_until end, paused = false',
    replace: 'paused = false',
    killedBy: [CRON],
  },
  {
    promise: 'an older deploy does not take over the cron table while a newer one runs',
    file: 'lib/job/cron/cron-service.ts',
    find: 'this.claimed = true;',
    replace: '',
    killedBy: [CRON],
  },
  {
    promise: 'recurring jobs that wait for the check of the installation count as standing still',
    file: 'lib/job/cron/cron-service.ts',
    find: 'if (!gate?.wasOpen) {',
    replace: 'if (!gate?.wasOpen) return undefined;\n      if (!gate) {',
    killedBy: ['test/job/cron/cron-gate.test.ts'],
  },
  {
    promise: 'a recurring job that cannot be enqueued does not delay the others',
    file: 'lib/job/cron/cron-service.ts',
    find: 'return this.failed(entry, toError(thrown));',
    replace: 'throw this.failed(entry, toError(thrown));',
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
    promise: 'a transaction that is begun inside one that was rolled back is rejected',
    file: 'lib/model/transaction.ts',
    find: "if ((await endedTransaction()) === 'rolled back')",
    replace: 'if ((await endedTransaction()) && !connected)',
    killedBy: [TRANSACTION],
  },
  {
    promise: 'a COMMIT that Postgres answers with ROLLBACK counts as a rollback',
    file: 'lib/internals/knex.ts',
    find: `command === 'COMMIT' || command`,
    replace: `command !== undefined || command`,
    killedBy: [SETTLEMENT],
  },
  {
    promise: 'work in a released savepoint is certain only with the outermost commit',
    file: 'lib/internals/knex.ts',
    find: 'if (!committed || !outer || outer === root)',
    replace: 'if (!committed || !outer || outer !== root)',
    killedBy: [SETTLEMENT],
  },
  {
    promise: 'the jobs of a copied database are not dispatched',
    file: 'lib/job/outbox/installation.ts',
    find: 'this.isOpen = installation.database === installation.redis;',
    replace: 'this.isOpen = true;',
    killedBy: ['test/job/outbox/installation.test.ts'],
  },
  {
    promise: 'rows that were restored under a running relay are not dispatched',
    file: 'lib/job/outbox/relay.ts',
    find: 'if (gate && !gate.owns(claim.installation)) throw new ForeignRows();',
    replace: '',
    killedBy: ['test/job/outbox/installation.test.ts'],
  },
  {
    promise: 'notifications that do not arrive, as behind a pooler, are detected',
    file: 'lib/job/outbox/listener.ts',
    find: 'this.echoTimer = setTimeout(() => this.heard(false), this.options.echoMs ?? ECHO_MS);',
    replace: '',
    killedBy: ['test/job/outbox/pooler.test.ts'],
  },
  {
    promise: 'LISTEN bypasses a pooler with DATABASE_DIRECT_URL',
    file: 'lib/job/outbox/service.ts',
    find: 'url: listenUrl ?? url,',
    replace: 'url,',
    killedBy: ['test/job/outbox/pooler.test.ts'],
  },
  {
    promise: 'pools that are larger in total than Postgres allows are reported, counting both generations of a deploy',
    file: 'lib/core/config.ts',
    find: 'const GENERATIONS = 2;',
    replace: 'const GENERATIONS = 1;',
    killedBy: ['test/health/told-alike.test.ts'],
  },
  {
    promise: 'no job waits for the connection that another job holds, however small the pool is set',
    file: 'lib/core/settings-reader.ts',
    find: 'jobs: Math.max(given ?? jobs, jobConcurrency + 1)',
    replace: 'jobs: given ?? jobs',
    killedBy: ['test/core/settings.test.ts'],
  },
];

export default mutations;
