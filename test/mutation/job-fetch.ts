import type { Mutation } from './mutation';

const FETCHER = 'lib/job/fetch/fetcher.ts';
const HINTS = 'lib/job/hint/hints.ts';
const DISPATCHER = 'lib/job/dispatch/dispatcher.ts';
const LEADER = 'lib/job/dispatch/leadership.ts';
const FETCHER_TEST = ['test/job/fetch/fetcher.test.ts'];
const DISPATCHER_TEST = ['test/job/dispatch/dispatcher.test.ts'];
const LEADERSHIP_TEST = ['test/job/dispatch/leadership.test.ts'];
const LISTENER_TEST = ['test/job/dispatch/listener.test.ts'];
const RESCUE_TEST = ['test/job/processes/rescue.test.ts'];

/** Mutations of how jobs are found, fetched, announced and rescued, and of what Redis does for that. */
const mutations: readonly Mutation[] = [
  {
    promise: 'hints that were lost are made up for',
    file: DISPATCHER,
    find: 'const isShort = await this.refill(mayLackHints ? 0 : this.overdueMs);',
    replace: 'const isShort = false;',
    killedBy: DISPATCHER_TEST,
  },
  {
    promise: 'a key with many jobs is not hinted at again and again before those of others',
    file: DISPATCHER,
    find: 'const isUnlimited = now - this.limitedRefilledAt < this.overdueMs;',
    replace: 'const isUnlimited = false;',
    killedBy: DISPATCHER_TEST,
  },
  {
    promise: 'a job whose hint was lost is hinted at before the others of its queue',
    file: DISPATCHER,
    find: "length === 0 ? 'tail' : 'head'",
    replace: "'tail'",
    killedBy: DISPATCHER_TEST,
  },
  {
    promise: 'a full queue gets no more hints, so Redis stays bounded',
    file: HINTS,
    find: "if (at === 'tail' && this.full.has(queue) &&",
    replace: "if (at === 'tail' && !this.full.has(queue) &&",
    killedBy: ['test/job/hint/hints.test.ts'],
  },
  {
    promise: 'held jobs are admitted when nobody else does it',
    file: DISPATCHER,
    find: 'const keys = await heldKeys(this.options.knex, this.heldAfter, MAX_KEYS);',
    replace: 'const keys: string[] = [];',
    killedBy: DISPATCHER_TEST,
  },
  {
    promise: 'the jobs of silent processors are rescued without Redis, too',
    file: DISPATCHER,
    find: 'const rescued = isJudge ? await rescue(knex, { silentMs }) : [];',
    replace: 'const rescued = isJudge ? await rescue(knex, { silentMs: silentMs * 1e6 }) : [];',
    killedBy: DISPATCHER_TEST,
  },
  {
    promise: 'whatever stands in a list of Redis harms no claim',
    file: FETCHER,
    find: 'record === undefined && isUuid(id) ? [id] : []',
    replace: 'record === undefined ? [id] : []',
    killedBy: FETCHER_TEST,
  },
  {
    promise: 'the last permitted delivery of a job runs alone',
    file: FETCHER,
    find: 'else if (delivery.deliveries >= MAX_DELIVERIES)',
    replace: 'else if (delivery.deliveries > MAX_DELIVERIES)',
    killedBy: FETCHER_TEST,
  },
  {
    promise: 'a processor that is quiet begins nothing that it claims',
    file: FETCHER,
    find: 'if (this.isQuiet || this.closed) this.returnUnstarted([delivery]);',
    replace: 'if (this.closed) this.returnUnstarted([delivery]);',
    killedBy: FETCHER_TEST,
  },
  {
    promise: 'weighted queues are served by their weights',
    file: FETCHER,
    find: 'this.order = weighted ?',
    replace: 'this.order = weighted === undefined ?',
    killedBy: FETCHER_TEST,
  },
  {
    promise: 'one dispatcher at a time looks: the others wait for the leader',
    file: LEADER,
    find: 'return this.leader === undefined || this.isLeader || !this.isNotified;',
    replace: 'return true;',
    killedBy: LEADERSHIP_TEST,
  },
  {
    promise: 'a dispatcher that leads and cannot work is not waited for',
    file: LEADER,
    find: 'this.unansweredAt = Math.min(this.unansweredAt ?? Number.POSITIVE_INFINITY, this.now() + inMs);',
    replace: 'void inMs;',
    killedBy: LEADERSHIP_TEST,
  },
  {
    promise: 'an idle dispatcher looks less and less often',
    file: DISPATCHER,
    find: 'Math.min(this.maxLookMs, this.lookMs * LOOK_GROWTH)',
    replace: 'Math.min(this.maxLookMs, this.lookMs)',
    killedBy: LEADERSHIP_TEST,
  },
  {
    promise: "a LISTEN connection that no longer delivers the dispatcher's notifications is replaced",
    file: 'lib/job/dispatch/dispatch-service.ts',
    find: 'onMessageSent: (sentAt) => this.listener.expectEcho(sentAt),',
    replace: 'onMessageSent: () => undefined,',
    killedBy: LISTENER_TEST,
  },
  {
    promise: 'notifications that do not arrive, as behind a pooler, are detected',
    file: 'lib/job/dispatch/listener.ts',
    find: 'this.echoTimer = setTimeout(() => this.heard(false), this.options.echoMs ?? ECHO_MS);',
    replace: 'this.echoTimer = setTimeout(() => undefined, this.options.echoMs ?? ECHO_MS);',
    killedBy: ['test/job/dispatch/pooler.test.ts'],
  },
  {
    promise: 'LISTEN bypasses a pooler with DATABASE_DIRECT_URL',
    file: 'lib/job/dispatch/dispatch-service.ts',
    find: 'url: listenUrl ?? url,',
    replace: 'url: url ?? listenUrl,',
    killedBy: ['test/job/dispatch/pooler.test.ts'],
  },
  {
    promise: 'due jobs are looked for when the clock has jumped',
    file: 'lib/job/dispatch/dispatch-service.ts',
    find: '    this.dispatcher.distrust();\n    onClockJump();',
    replace: '    onClockJump();',
    killedBy: ['test/job/clock.test.ts'],
  },
  {
    promise: 'the jobs of a copied database do not run, and that is said once',
    file: 'lib/job/dispatch/gate.ts',
    find: 'this.origin = made === here ? here : undefined;',
    replace: 'this.origin = made ?? here;',
    killedBy: ['test/job/row/installation.test.ts'],
  },
  {
    promise: 'no jobs of a living process are rescued after an outage of Postgres, in which it could not show itself',
    file: 'lib/job/dispatch/dispatcher.ts',
    find: 'const isJudge = now - (this.connectedSince ?? now) >= silentMs;',
    replace: 'const isJudge = true;',
    killedBy: ['test/job/dispatch/living-processes.test.ts'],
  },
  {
    promise: 'no jobs of a living process are rescued after a look whose last statement took long',
    file: 'lib/job/dispatch/dispatcher.ts',
    find: 'performance.now() - begunAt > SLOW_MS',
    replace: 'performance.now() - begunAt > SILENT_MS',
    killedBy: ['test/job/dispatch/living-processes.deep.ts'],
  },
  {
    promise: 'jobs of a process that falls silent are rescued soon, also by a dispatcher that has nothing else to do',
    file: 'lib/job/dispatch/dispatcher.ts',
    find: 'this.wasAnyUnderWay ? this.upkeepMs : this.maxLookMs',
    replace: 'this.maxLookMs',
    killedBy: RESCUE_TEST,
  },
  {
    promise: 'a successor rescues the jobs of its dead predecessor',
    file: 'lib/job/processes/process-reporter.ts',
    find: 'this.options.onRescued(await rescue(database.knex, { identity }));',
    replace: '',
    killedBy: RESCUE_TEST,
  },
  {
    promise: 'a job of a plain bee-queue producer whose processor dies before it has a row is put back',
    file: 'lib/job/hint/plain-producers.ts',
    find: "    call('rpush', KEYS[2], id)\n",
    replace: '',
    killedBy: ['test/job/hint/plain-producers.test.ts'],
  },
  {
    promise: 'jobs that are running at the deadline of a stop are returned',
    file: 'lib/job/processor.ts',
    find: `fetcher.returnRunning(returned, this.causeUnknown);`,
    replace: ``,
    killedBy: ['test/job/stop.test.ts'],
  },
  {
    promise: 'every key of an app has its prefix',
    file: 'lib/core/redis.ts',
    find: `    keyPrefix: readKeyPrefix(url),\n`,
    replace: ``,
    killedBy: ['test/job/prefix.test.ts'],
  },
  {
    promise: 'an outcome that Postgres has refused is recorded later',
    file: FETCHER,
    find: '    this.ended.unshift(...unrecorded);\n',
    replace: '',
    killedBy: ['test/job/fetch/fetcher.test.ts'],
  },
  {
    promise: 'a claim that was lost with its reply is returned by the process that has sent it only',
    file: 'lib/job/row/claim.ts',
    find: "`state = 'running' and claimed_by = ? and id <> all(?::uuid[])`",
    replace: "`state = 'running' and ? <> '' and id <> all(?::uuid[])`",
    killedBy: ['test/job/row/claim.test.ts'],
  },
  {
    promise: 'the end of a run whose job came to its process again is not taken for the end of the later run',
    file: FETCHER,
    find: 'if (this.running.get(delivery.id)?.delivery === delivery) {',
    replace: 'if (this.running.has(delivery.id)) {',
    killedBy: FETCHER_TEST,
  },
  {
    promise: 'an admission that Postgres refuses ends no process',
    file: 'lib/job/hint/admitter.ts',
    find: '} catch {',
    replace: '} finally {',
    killedBy: ['test/job/limits.test.ts'],
  },
  {
    promise: 'a connection of the job processor that gets no replies is closed',
    file: 'lib/support/progress.ts',
    find: `else this.onSilent(`,
    replace: `else String(`,
    killedBy: ['test/core/redis-connection.test.ts'],
  },
];

export default mutations;
