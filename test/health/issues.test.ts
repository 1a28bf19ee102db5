import assert from 'node:assert/strict';
import { statsText } from '../../lib/cli/stats-text';
import { judgementLines, readJudgement, statusLines } from '../../lib/cli/status-text';
import type { ProcessorStatus, Termination, TreeStatus } from '../../lib/cluster/status';
import { readSettings } from '../../lib/core/settings';
import { treeIssues } from '../../lib/health/issues';
import { judge, judgementJson } from '../../lib/health/judge';
import type { SystemStatus } from '../../lib/health/status-collector';
import type { Scrape } from '../../lib/ops/metrics/scrape';
import { TREE } from '../../lib/ops/metrics/tree-families';
import { overviewView } from '../../lib/ops/overview/overview-view';
import { Formatter } from '../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../lib/ops/ui/texts';
import { snakeCase } from '../../lib/support/snake-case';
import {
  before as ago,
  NOW,
  processorOf,
  processorStatusOf,
  slotOf,
  statusOf,
  treeStatusOf,
  workerOf,
} from '../ops/overview/tree-statuses';
import { away, known, MAIL, NO_FAILURES, POSTGRES, queueOf, READ_ONLY, REDIS, systemStatusOf } from './system-statuses';

const DEATH: Termination = {
  at: ago(6),
  reason: 'timeout',
  message: null,
  code: null,
  signal: 'SIGKILL',
  heartbeatAgeMs: 10_000,
  activity: { what: 'POST /imports' },
};
const NEXT = { at: ago(-2), attempt: 2 };

const dead = { slots: [slotOf(0, { lastTermination: DEATH, nextRestart: NEXT }), slotOf(1)], workers: [workerOf(1)] };
const reporting = (changes: Partial<ProcessorStatus>) => processorOf({ lastStatus: processorStatusOf(changes) });
const running = (...jobs: readonly (readonly [what: string, ageMs: number])[]) =>
  reporting({
    inFlight: jobs.map(([name, ageMs], i) => ({
      what: `${name} on default`,
      job: { class: name, queue: 'default' },
      id: String(i),
      ageMs,
    })),
  });
const STILL = { part: 'dispatch', movedMs: 21_000, owedMs: 20_000, cause: 'redisReadOnly', error: '' } as const;
const LEFT = { class: 'NewJob', reason: 'there is no NewJob', times: 3, spanMs: 60_000 };
const processor = (state: ReturnType<typeof processorOf>['state'], nextRestart: typeof NEXT | null = null) =>
  treeStatusOf({ jobs: processorOf({ state }), processor: { lastTermination: nextRestart && DEATH, nextRestart } });
const PENDING = { cause: 'migrations', names: ['01_a', '02_b', '03_c', '04_d', '05_e'] } as const;
const UNREAD = treeStatusOf({
  workers: [workerOf(0, { lastStatus: statusOf({ unready: { cause: 'unread', error: '42501' } }) })],
  stats: { workers: 1 },
});
const late = known([queueOf('default', { waiting: 31, latencyMs: 90_000 })]);
const refused = (failedSince: number, error = '550 no') =>
  known({ ...MAIL, failedToday: failedSince, failedSince, failure: { at: new Date(ago(9)), error } });
const GREYLISTED = '450 4.2.0 greylisted, come again in 5 min';
const FAILING = { ...NO_FAILURES, classes: [{ class: 'ImportJob', failed: 139, runs: 200, error: 'Error: no disk' }] };
const MISSED = { name: 'nightly', class: 'ImportJob', place: 'missed', error: '', dueAt: new Date(ago(600)) } as const;
const died = (name: string, count: number) => ({ class: name, count, error: 'Error: no such shop' });
const slow = (what: string) => ({ what, id: 'r', ageMs: 8000 });
const overtime = (id: string, ageMs: number) => ({
  what: 'ImportJob on slow',
  job: { class: 'ImportJob', queue: 'slow' },
  id,
  ageMs,
  timeoutMs: 60_000,
});
const OTHER = { class: 'OtherJob', queue: 'slow' };
const SUSPECT = { id: 'j1', class: 'ImportJob', queue: 'slow' };
const LOCK = { pid: 812, client: 'psql', query: 'lock table users', waiting: 2, spanMs: 30_000, table: 'users' };
const other = (treeStatus: TreeStatus, heartbeatAgeMs = 0) => known([{ treeStatus, heartbeatAgeMs }]);

const tree = (changes: Parameters<typeof treeStatusOf>[0] = {}, others: Partial<SystemStatus> = {}) =>
  systemStatusOf(treeStatusOf(changes), others);
const stores = (changes: Partial<SystemStatus>) => systemStatusOf(treeStatusOf(), changes);

/** What is broken: exit code 3 of `catamount status`. Anything else only needs attention: 2. */
const BROKEN = new Set(
  'locked cronMissed noPrimary migrationsPending migrationsUnread nobodyServes restarts crashLoop jobsRestart jobsUnresponsive stalled shed treeUnresponsive otherTree postgresAway postgresReadOnly foreign unserved'.split(
    ' ',
  ),
);

/** [the state, its status, the codes that are reported, parts of the texts] */
const STATES: readonly (readonly [
  state: string,
  systemStatus: SystemStatus,
  codes: readonly string[],
  ...words: RegExp[],
])[] = [
  ['all is well', systemStatusOf(), [], /^All is well/],
  [
    'everything just within its limits',
    tree(
      {
        workers: [workerOf(0, { heartbeatAgeMs: 4000, pssMb: 107 }), workerOf(1)],
        jobs: processorOf({ heartbeatAgeMs: 4000 }),
        stats: { memory: { pssMb: 435, limitMb: 512 } },
        limits: { databaseConnections: 10 },
      },
      {
        queues: known([queueOf('default', { waiting: 1, latencyMs: 60_000 })]),
        postgres: known({ ...POSTGRES, used: 18 }),
        redis: known({ ...REDIS, usedBytes: 22.5e6 }),
        mail: refused(2),
        trees: other(treeStatusOf({ id: 'b', name: 'web.2' }), 5000),
      },
    ),
    [],
    /^All is well/,
  ],
  [
    'another tree, whose status has another shape',
    stores({ trees: other({ ...treeStatusOf({ id: 'b', name: 'web.2' }), slots: null as never }) }),
    [],
    /^All is well/,
  ],
  [
    'migrations that have not run, for want of which the relay stands still',
    tree({
      workers: [workerOf(0, { lastStatus: statusOf({ unready: PENDING }) }), workerOf(1)],
      jobs: reporting({ progress: [{ ...STILL, cause: 'other', error: 'relation "job_outbox" does not exist' }] }),
    }),
    ['migrationsPending'],
    /5 migrations have not run: run catamount db migrate, .* 01_a, 02_b, 03_c, …$/m,
  ],
  ['migrations that cannot be read', systemStatusOf(UNREAD), ['migrationsUnread'], /42501.*503/],
  ['the same without Postgres', systemStatusOf(UNREAD, { postgres: away('57P01', 3) }), ['postgresAway'], /57P01/],
  ['a job processor that starts', systemStatusOf(processor('booting')), [], /^Processes are starting/],
  ['a dead worker', tree(dead), ['restarts'], /Worker 0 restarts, try 2\. Loop blocked for 10 s/],
  ['no worker serves', tree({ workers: [], slots: [slotOf(0), slotOf(1)] }), ['nobodyServes'], /none of 2 workers/],
  [
    'an unresponsive worker',
    tree({ workers: [workerOf(0, { lastCheckin: ago(8), heartbeatAgeMs: 8000 }), workerOf(1)] }),
    ['unresponsive'],
    /No heartbeat for 8\.0 s/,
  ],
  [
    'a worker that uses far more memory than the other',
    tree({ workers: [workerOf(0, { pssMb: 171 }), workerOf(1)] }),
    ['hot'],
    /171 MB/,
  ],
  [
    'a dead job processor',
    systemStatusOf(processor('backing_off', NEXT)),
    ['jobsRestart'],
    /job processor restarts, try 2/,
  ],
  ['a starting job processor', systemStatusOf(processor('booting', NEXT)), ['jobsRestart'], /try 2/],
  ['a crash loop', systemStatusOf(processor('crash_loop', { ...NEXT, attempt: 6 })), ['crashLoop'], /6 times in a row/],
  [
    'a crash loop that tries again',
    systemStatusOf(processor('booting', { ...NEXT, attempt: 6 })),
    ['crashLoop'],
    /6 times/,
  ],
  ['a quiet job processor', systemStatusOf(processor('quiet')), ['jobsQuiet'], /quiet/],
  [
    'an unresponsive job processor',
    tree({ jobs: processorOf({ lastCheckin: ago(9), heartbeatAgeMs: 9000 }) }),
    ['jobsUnresponsive'],
    /No heartbeat for 9\.0 s/,
  ],
  [
    'shed requests, and errors',
    tree({ rates: { requestsPerS: 1, shed: 4, serverErrors: 6, slowestMs: 0 } }),
    ['shed', 'serverErrors'],
    /4 requests were shed/,
    /2 requests failed/,
  ],
  [
    'shed requests and errors, by route',
    tree({
      rates: { requestsPerS: 1, shed: 4, serverErrors: 6, slowestMs: 0 },
      workers: [
        workerOf(0, {
          lastStatus: statusOf({ inFlight: [slow('GET /shops/12/report'), slow('GET /shops/7/report')] }),
        }),
        workerOf(1, {
          lastStatus: statusOf({
            inFlight: [slow('POST /users')],
            lastError: { what: 'GET /users/me', error: 'TypeError: no user', id: 'r1', ageMs: 3000 },
          }),
        }),
      ],
    }),
    ['shed', 'serverErrors'],
    /all slots were taken, now by 2 × GET \/shops\/…\/report, for up to 8\.0 s, 1 × POST \/users.*WEB_CONCURRENCY/,
    /2 requests failed .*: GET \/users\/me: TypeError: no user \(r1\)\./,
  ],
  [
    'an error of a request long ago beside errors without a text',
    tree({
      rates: { requestsPerS: 1, shed: 0, serverErrors: 1, slowestMs: 0 },
      workers: [
        workerOf(0, {
          lastStatus: statusOf({ lastError: { what: 'GET /old', error: 'Error: old', id: 'r1', ageMs: 60_000 } }),
        }),
        workerOf(1),
      ],
    }),
    ['serverErrors'],
    /in the last minute\. /,
  ],
  [
    'Postgres down, and what follows from it',
    tree(
      {
        rates: { requestsPerS: 1, shed: 1, serverErrors: 2, slowestMs: 0 },
        jobs: reporting({
          progress: [
            { ...STILL, part: 'fetch', cause: 'unreachable', error: '' },
            { ...STILL, part: 'mail', cause: 'unreachable', error: '' },
          ],
        }),
      },
      { postgres: away('57P01', 3) },
    ),
    ['postgresAway', 'stalled', 'shed', 'serverErrors'],
    /sending mail/,
  ],
  [
    'three parts that stand still for one reason, and mail',
    systemStatusOf(
      treeStatusOf({
        jobs: reporting({
          progress: [
            { ...STILL, part: 'fetch', cause: 'postgresDisk', error: 'could not extend file' },
            {
              ...STILL,
              part: 'dispatch',
              cause: 'postgresDisk',
              owedMs: 40_000,
              error: 'could not extend file (in: update job_queue set state',
            },
            { ...STILL, part: 'cron', cause: 'postgresDisk', error: 'could not extend file' },
            { ...STILL, part: 'mail', cause: 'password', error: '535 no' },
          ],
        }),
      }),
    ),
    ['stalled', 'stalled'],
    /^Standing still: looking for jobs that are due, for 40 s: the disk of Postgres is full: could not extend file\. Free space/m,
    /^Standing still: sending mail, .*535 no\. Correct user and password in SMTP_URL/m,
  ],
  [
    'Postgres down, which the tree has known for longer than whoever asks',
    tree(
      { jobs: reporting({ progress: [{ ...STILL, part: 'listen', cause: 'unreachable', owedMs: 8000 }] }) },
      { postgres: away('57P01', 3) },
    ),
    ['postgresAway'],
    /^No answer from Postgres for 8\.0 s: .*57P01/m,
  ],
  [
    'Redis down, which stands before a worker that died, though that is worse',
    tree(dead, { redis: away('ECONNREFUSED', 12) }),
    ['redisAway', 'restarts'],
  ],
  [
    'Redis down, which the tree has known for longer',
    tree({ jobs: reporting({ redisAwayMs: 30_000 }) }, { redis: away('ECONNREFUSED', 1) }),
    ['redisAway'],
    /^No answer from Redis for 30 s/m,
  ],
  [
    'a lock, because of which jobs stand still',
    tree(
      { jobs: reporting({ progress: [{ ...STILL, part: 'fetch', cause: 'locked' }] }) },
      { postgres: known({ ...POSTGRES, lock: LOCK }) },
    ),
    ['locked'],
    /^Session 812 of Postgres holds a lock: 2 others wait for it on users, for up to 30 s\. Its client is psql: lock table users\. End it: select pg_terminate_backend\(812\)\./m,
  ],
  [
    'a job processor that a job has blocked from its first line',
    tree({ jobs: processorOf({ lastCheckin: ago(9), heartbeatAgeMs: 9000 }) }, { suspects: known([SUSPECT]) }),
    ['jobsUnresponsive'],
    /is blocked in ImportJob \(j1\)\./,
  ],
  [
    'a job processor that a job has ended',
    systemStatusOf(
      treeStatusOf({
        jobs: processorOf({ state: 'backing_off' }),
        processor: { lastTermination: { ...DEATH, reason: 'crash', heartbeatAgeMs: null }, nextRestart: NEXT },
      }),
      { suspects: known([SUSPECT]) },
    ),
    ['jobsRestart'],
    /try 2\. Ended by SIGKILL\. It had ImportJob \(j1\) in hand\. .*catamount jobs pause slow/,
  ],
  [
    'a job processor that dies as it boots, beside a job that others have left',
    systemStatusOf(
      treeStatusOf({
        jobs: processorOf({ state: 'crash_loop' }),
        processor: { lastTermination: { ...DEATH, reason: 'boot', message: 'no licence' }, nextRestart: NEXT },
      }),
      { suspects: known([SUSPECT]) },
    ),
    ['crashLoop'],
    /It died at boot: no licence\. Mend that/,
  ],
  [
    'a worker that a request has blocked from its first line',
    tree({
      workers: [
        workerOf(0, { lastCheckin: ago(8), heartbeatAgeMs: 8000, begun: { what: 'GET /sums', id: 'r7', ageMs: 9000 } }),
        workerOf(1),
      ],
    }),
    ['unresponsive'],
    /is blocked in GET \/sums \(r7\)\. catamount recycle 0/,
  ],
  [
    'runs past their timeout, of one class, and one that still may end',
    tree({
      jobs: reporting({
        inFlight: [overtime('a', 70_000), overtime('b', 90_000), { ...overtime('c', 64_000), job: OTHER }],
      }),
    }),
    ['overtime'],
    /ImportJob runs past its timeout: for 1 min 30 s, with a timeout of 1 min\. .*job b/,
  ],
  [
    'many requests of one route rejected',
    tree({
      rates: { requestsPerS: 1.6, shed: 0, serverErrors: 0, slowestMs: 0 },
      workers: [
        workerOf(0, { lastStatus: statusOf({ rejected: { route: 'POST /users', status: 422, count: 30 } }) }),
        workerOf(1, { lastStatus: statusOf({ rejected: { route: 'POST /users', status: 422, count: 20 } }) }),
      ],
    }),
    ['rejected'],
    /50 requests were rejected with 422 in the last minute: POST \/users/,
  ],
  [
    'as many beside many others, and too few',
    tree({
      rates: { requestsPerS: 1.7, shed: 0, serverErrors: 0, slowestMs: 0 },
      workers: [
        workerOf(0, { lastStatus: statusOf({ rejected: { route: 'POST /users', status: 422, count: 50 } }) }),
        workerOf(1, { lastStatus: statusOf({ rejected: { route: 'POST /old', status: 400, count: 49 } }) }),
      ],
    }),
    [],
  ],
  [
    'what has happened',
    tree({
      events: [
        { at: ago(60), name: 'clock.set', about: { ms: -7_200_000 } },
        { at: ago(120), name: 'redis.emptied', about: {} },
        { at: ago(90), name: 'memory.high', about: { slot: 1, workerMb: 301.2, totalMb: 500, limitMb: 512 } },
      ],
    }),
    ['leaks', 'clockSet', 'redisEmptied'],
    /Worker 1 grew to 301 MB and was replaced 1 min 30 s ago/,
    /jumped back by 2 h, 1 min ago/,
    /Redis lost its data 2 min ago/,
  ],
  [
    'what has happened long ago, or will by a clock that was set back',
    tree({
      events: [
        { at: ago(600), name: 'clock.set', about: { ms: 7_200_000 } },
        { at: ago(-7200), name: 'clock.set', about: { ms: 7_200_000 } },
        { at: ago(600), name: 'redis.emptied', about: {} },
        { at: ago(600), name: 'memory.high', about: { slot: 1, workerMb: 301.2, totalMb: 500, limitMb: 512 } },
      ],
    }),
    [],
  ],
  [
    'a leak of the job processor',
    tree({
      events: [
        { at: ago(90), name: 'memory.high', about: { slot: null, workerMb: 301.2, totalMb: 500, limitMb: 512 } },
      ],
    }),
    ['leaks'],
    /Job processor grew to 301 MB and was replaced 1 min 30 s ago.* lower JOB_CONCURRENCY/,
  ],
  [
    'a leak',
    tree({
      events: [
        { at: ago(1800), name: 'memory.high', about: { slot: 1, workerMb: 301.2, totalMb: 500, limitMb: 512 } },
        { at: ago(3500), name: 'memory.high', about: { slot: 0, workerMb: 290, totalMb: 500, limitMb: 512 } },
        { at: ago(3600), name: 'memory.high', about: { slot: 0, workerMb: 290, totalMb: 500, limitMb: 512 } },
      ],
    }),
    ['leaks'],
    /replaced 30 min ago, before the tree ran out of memory \(2 times within an hour\)/,
  ],
  [
    'low memory',
    tree({ stats: { memory: { pssMb: 450, limitMb: 512 } } }),
    ['memory'],
    /Memory at 88 %\. 450 of 512 MB/,
  ],
  [
    'memory over its limit',
    tree({ stats: { memory: { pssMb: 520, limitMb: 512 } } }),
    ['memory'],
    /Memory at 102 %\. 520 of 512 MB/,
  ],
  [
    'an aborted phased restart',
    tree({ stats: { lastPhase: { phase: 3, completed: false, reason: 'no such module' } } }),
    ['phase'],
    /no such module/,
  ],
  [
    'another tree that is unresponsive',
    stores({ trees: other(treeStatusOf({ id: 'b', name: 'web.2' }), 12_000) }),
    ['treeUnresponsive'],
    /Tree web\.2 is unresponsive for 12 s/,
  ],
  [
    'another tree with problems',
    stores({ trees: other(treeStatusOf({ ...dead, id: 'b', name: 'web.2' })) }),
    ['otherTree'],
    /Tree web\.2: one thing/,
  ],
  [
    'Redis that does not answer',
    stores({ redis: away('ECONNREFUSED', 12), queues: away('ECONNREFUSED', 12) }),
    ['redisAway'],
    /Redis does not answer/,
    /for 12 s: the server cannot be reached.* \(ECONNREFUSED\)\..*correct REDIS_URL/,
  ],
  ['Postgres down', stores({ postgres: away('57P01', 3) }), ['postgresAway'], /^Postgres does not answer$/m, /57P01/],
  [
    'Redis that refuses writes, which answers',
    stores({ redis: away('READONLY', 2) }),
    ['redisAway'],
    /^Redis refuses writes$/m,
    /^Redis refuses writes for 2\.0 s: Redis is a replica now and takes no writes \(READONLY\)\..* Let REDIS_URL name the primary\.$/m,
  ],
  [
    'Postgres that refuses connections, which answers',
    stores({ postgres: away('53300', 3) }),
    ['postgresAway'],
    /^Postgres refuses connections$/m,
    /^Postgres refuses connections for 3\.0 s: Postgres has no connection left for this role \(53300\)/m,
  ],
  [
    'neither Redis nor Postgres answers',
    stores({ redis: away('E1', 12), postgres: away('E2', 3) }),
    ['postgresAway', 'redisAway'],
    /Neither Redis nor Postgres answers/,
  ],
  [
    'a database that was copied from another installation',
    stores({ foreign: known(true) }),
    ['foreign'],
    /copied from another installation/,
    /catamount jobs adopt/,
  ],
  [
    'a paused queue',
    stores({
      queues: known([queueOf('mailer', { waiting: 30, blocked: 1, paused: { since: new Date(ago(300)), by: 'ada' } })]),
    }),
    ['paused'],
    /Queue mailer is paused \(for 5 min.*, by ada\): 31 jobs wait/,
  ],
  ['a queue that is late', stores({ queues: late }), ['late'], /oldest job waits 1 min 30 s/],
  [
    'slots occupied by long jobs',
    tree({ jobs: running(['ImportJob', 90_000], ['ImportJob', 10_000]) }, { queues: late }),
    ['slotsHeld'],
    /All slots are taken: 2 × ImportJob, for up to 1 min 30 s/,
  ],
  [
    'slots used by short jobs',
    tree({ jobs: running(['QuickJob', 9999], ['QuickJob', 9999]) }, { queues: late }),
    ['late'],
  ],
  [
    'a queue without a processor',
    stores({ queues: known([queueOf('odd', { waiting: 1, latencyMs: 90_000 })]) }),
    ['unserved'],
    /Nobody serves queue odd/,
  ],
  [
    'a queue that is late, which without Redis another tree may serve',
    stores({ redis: known(null), queues: known([queueOf('odd', { waiting: 1, latencyMs: 90_000 })]) }),
    ['late'],
  ],
  [
    'a queue whose only processor is in a tree that is unresponsive',
    tree(
      { limits: { jobConcurrency: 0 } },
      { queues: late, trees: other(treeStatusOf({ id: 'b', name: 'web.2' }), 12_000) },
    ),
    ['treeUnresponsive', 'unserved'],
    /Nobody serves queue default/,
  ],
  [
    'failures of a class',
    stores({ failures: known(FAILING) }),
    ['failing'],
    /ImportJob fails: 139 of 200 runs \(70 %\) in the last 5 min(?:utes)?: Error: no disk\. .*catamount jobs retry .*--class ImportJob/,
  ],
  [
    'deaths',
    stores({ failures: known({ ...NO_FAILURES, dead: [died('PushJob', 315), died('ImportJob', 1)] }) }),
    ['deaths', 'deaths'],
    /315 jobs of PushJob died within 1 d.*: Error: no such shop\. .*--set dead --class PushJob/,
    /1 job of ImportJob died/,
  ],
  [
    'a class that fails and has died: one fact',
    stores({ failures: known({ ...FAILING, dead: [died('ImportJob', 3)] }) }),
    ['failing'],
    /139 of 200 runs .*, 3 jobs are dead: Error: no disk.*--set retry --class ImportJob, and the same with --set dead\./,
  ],
  [
    'a recurring job whose latest run failed: one fact, though its class fails and has died',
    stores({
      cron: known([{ name: 'nightly', class: 'ImportJob', place: 'dead', error: 'Error: no disk', dueAt: null }]),
      failures: known({ ...FAILING, dead: [died('ImportJob', 3)] }),
    }),
    ['cronFails'],
    /Recurring job nightly failed: its latest run is dead, 3 jobs are dead: Error: no disk\. .*--set dead --class ImportJob/,
  ],
  [
    'a recurring job that did not run at all',
    stores({ cron: known([MISSED]) }),
    ['cronMissed'],
    /Recurring job nightly did not run: it has been due for 10 min.*no job processor enqueues ImportJob/,
  ],
  [
    'a recurring job that did not run, since all of them stand still',
    tree({ jobs: reporting({ progress: [{ ...STILL, part: 'cron' }] }) }, { cron: known([MISSED]) }),
    ['stalled'],
  ],
  ['a read-only Postgres', stores({ postgres: READ_ONLY }), ['postgresReadOnly'], /standby/],
  ['few connections left', stores({ postgres: known({ ...POSTGRES, used: 19 }) }), ['connections'], /19 of 20/],
  [
    'pools that are larger in total than Postgres allows',
    tree(
      { limits: { databaseConnections: 6 } },
      { trees: other({ ...treeStatusOf({ limits: { databaseConnections: 5 } }), id: 'second', name: 'second' }) },
    ),
    ['connectionsPlanned'],
    /come to 22 of 20\. Lower DATABASE_POOL/,
  ],
  [
    'a dispatcher that stands still',
    tree({ jobs: reporting({ progress: [STILL] }) }),
    ['stalled'],
    /Standing still: looking for jobs that are due, for 20 s: Redis is a replica now and takes no writes\./,
  ],
  [
    'notifications that do not arrive, and jobs of a release that does not run here',
    tree({ jobs: reporting({ listening: false, left: [LEFT] }) }),
    ['listenDeaf', 'left'],
    /Set DATABASE_DIRECT_URL/,
    /NewJob is left to other processors for 1 min(?:ute)?: there is no NewJob\. /,
  ],
  [
    'a Redis that is nearly full, and may evict keys',
    stores({ redis: known({ ...REDIS, usedBytes: 24e6, policy: 'allkeys-lru' }) }),
    ['redisFull', 'eviction'],
    /96 %/,
    /allkeys-lru/,
  ],
  [
    'a Redis that is full',
    stores({ redis: known({ ...REDIS, usedBytes: 84e6 }) }),
    ['redisFull'],
    /Redis is full: 336 % of its maxmemory is in use/,
  ],
  ['one refused mail', stores({ mail: refused(1) }), [], /^All is well/],
  ['nothing but refused mails', stores({ mail: refused(3) }), ['mailFails'], /last 3 mails failed/, /550 no/],
  ['a mail that is greylisted', stores({ mail: refused(1, GREYLISTED) }), [], /^All is well/],
  [
    'nothing but greylisted mails',
    stores({ mail: refused(8, GREYLISTED) }),
    ['mailFails'],
    /last 8 mails failed/,
    /450 4\.2\.0 greylisted/,
  ],
  [
    'a bad day',
    tree(dead, {
      queues: known([queueOf('mailer', { waiting: 30, paused: { since: new Date(NOW), by: 'ada' } })]),
      failures: known({ ...FAILING, dead: [died('PushJob', 315)] }),
      mail: refused(1),
    }),
    ['restarts', 'paused', 'failing', 'deaths'],
    /4 things need you/,
  ],
  ['a stopping tree', tree({ stopping: true }), [], /^The tree is stopping/],
  ['a phased restart', tree({ phasedRestart: true }), [], /^A phased restart is under way/],
  [
    'a starting worker',
    tree({ workers: [workerOf(0), workerOf(1, { state: 'booting', lastStatus: {} })] }),
    [],
    /^Processes are starting/,
  ],
  ['unreadable failures', stores({ failures: away('E', 1) }), [], /^Not everything is/],
];

/** The head and the rest of an issue, on one line. */
function lineOf(issue: { readonly head: string; readonly rest: string } | undefined): string {
  return `${issue?.head} ${issue?.rest}`.trim();
}

/** Sorted, since languages put them in a different order. */
function numbersIn(text: string): string[] {
  return (text.match(/\d+(?:\.\d+)*/g) ?? []).sort();
}

describe('the state of everything', () => {
  const { jobs, mail } = readSettings({ cwd: '/nowhere', env: { NODE_ENV: 'test' } });
  const wordsIn = (locale: 'en' | 'ko') => new Formatter(pageTexts(TEXTS).in(locale), new Date(NOW));

  const onThePage = (systemStatus: SystemStatus, locale: 'en' | 'ko' = 'en') =>
    overviewView(systemStatus, null, { jobs, mail }, wordsIn(locale)) ?? assert.fail();
  const inMetrics = (systemStatus: SystemStatus) => {
    const family = TREE.find(({ name }) => name === 'catamount_issues');
    assert.ok(family && family.type !== 'histogram');
    const { issues } = judge(systemStatus, null, jobs.latencyWarningMs);
    const samples = family.read({ issues } as unknown as Scrape);
    return samples.flatMap(({ labels, value }) => (value > 0 ? [labels?.code] : [])).sort();
  };

  for (const [state, systemStatus, codes, ...told] of STATES) {
    it(`is reported alike on the overview, by status and top, and in the metrics: ${state}`, () => {
      const view = onThePage(systemStatus);
      const { verdict } = view;
      const lines = verdict.issues.map(({ head, rest }) => `${head} ${rest}`.trim());
      assert.deepEqual(
        verdict.issues.map(({ id }) => id.split('-')[0]),
        codes,
      );
      const treeStatus = systemStatus.own.ok ? systemStatus.own.value : assert.fail();
      const [title = '', ...below] = judgementLines(systemStatus, treeStatus, new Date(NOW));
      assert.equal(title.replace(/^[!~] /, '').replace(/[.:]$/, ''), verdict.title);
      assert.deepEqual(
        below.map((text) => text.trim()),
        lines,
      );
      const status = readJudgement(systemStatus, treeStatus);
      assert.deepEqual([status.level, status.issues.map(({ code }) => code)], [verdict.tone, codes]);
      const isOver = /full$|over its limit$/.test(state);
      assert.deepEqual(
        status.issues.map(({ level }) => level),
        codes.map((code) => (BROKEN.has(code) || isOver ? 'bad' : 'warn')),
      );
      const { level, issues } = snakeCase(view);
      assert.deepEqual({ level, issues }, judgementJson(status), 'as JSON');
      assert.deepEqual(inMetrics(systemStatus), [...new Set(codes)].sort());
      const nodes = (view.machine?.nodes ?? []).map((node) => ({ ...node, id: `p-${node.id}` }));
      for (const { id, tone } of [...view.dependencies, ...nodes]) {
        const linked = verdict.issues.filter(({ href }) => href === `#${id}`).map((issue) => issue.tone);
        const isFine = linked.length === 0 && !(id === 'mail' && codes.includes('mailFails'));
        if (!isFine) assert.notEqual(tone, 'ok', id);
        else if (!id.startsWith('p-')) assert.equal(tone, 'ok', id);
        if (linked.includes('bad')) assert.match(tone, /bad|warn|busy/, id);
      }
      const text = [verdict.title, ...lines].join('\n').replaceAll('\u00a0', ' ');
      for (const part of told) assert.match(text, part);
      assert.doesNotMatch(text, /\{\{|undefined|overview\./);
      if (codes.length > 0) assert.doesNotMatch(text, /well/);
    });
  }

  for (const [state, systemStatus, codes] of STATES) {
    it(`is reported in Korean with the same figures and names: ${state}`, () => {
      const { verdict } = onThePage(systemStatus);
      const { verdict: korean } = onThePage(systemStatus, 'ko');
      assert.deepEqual([korean.tone, korean.icon], [verdict.tone, verdict.icon]);
      assert.deepEqual(
        korean.issues.map(({ id, tone, href }) => ({ id, tone, href })),
        verdict.issues.map(({ id, tone, href }) => ({ id, tone, href })),
      );
      const { issues } = judge(systemStatus, null, jobs.latencyWarningMs);
      assert.deepEqual(
        issues.map(({ code }) => code),
        codes,
      );
      for (const [n, { figures, detail = '' }] of issues.entries()) {
        const [line, english] = [korean, verdict].map((told) => lineOf(told.issues[n])) as [string, string];
        assert.deepEqual(
          numbersIn(line),
          numbersIn(english.replace(/one thing|last minute/, '1')),
          `${line} / ${english}`,
        );
        // These select texts, and are not shown as such.
        const { place: _place, part: _part, cause: _cause, way: _way, ...named } = figures;
        const names = Object.values(named).filter((figure) => typeof figure === 'string');
        for (const name of [...names, detail.replace(/ \(in: .*/, '')])
          assert.ok(line.includes(name), `${name} in ${line}`);
      }
      for (const text of [korean.title, ...korean.issues.map(lineOf)]) {
        assert.match(text, /\p{Script=Hangul}/u);
        assert.doesNotMatch(text, /\{\{|undefined|overview\.|[을은이와](?:\(|\/)[를는가과]/);
      }
    });
  }

  it('takes a process for unresponsive by the age of its heartbeat, wherever the clock is set', () => {
    const codesOf = (heard: { readonly lastCheckin: string; readonly heartbeatAgeMs: number }) =>
      treeIssues(treeStatusOf({ workers: [workerOf(0, heard)], jobs: processorOf(heard) })).map(({ code }) => code);
    assert.deepEqual(codesOf({ lastCheckin: ago(3600), heartbeatAgeMs: 700 }), [], 'set forward');
    const setBack = codesOf({ lastCheckin: ago(-3600), heartbeatAgeMs: 8000 });
    assert.deepEqual(setBack, ['unresponsive', 'jobsUnresponsive']);
  });

  it('shows what has blocked a process as what it runs, and not the figures of its last heartbeat', () => {
    const silent = { lastCheckin: ago(9), heartbeatAgeMs: 9000 };
    const begun = { what: 'GET /sums', id: 'r7', ageMs: 9000 };
    const status = treeStatusOf({
      workers: [workerOf(0, { ...silent, begun }), workerOf(1)],
      jobs: processorOf(silent),
    });
    const { machine } = onThePage(systemStatusOf(status, { suspects: known([SUSPECT]) }));
    const [, worker, , jobsCard] = machine?.nodes ?? [];
    assert.deepEqual([worker?.on, jobsCard?.on], [null, null]);
    assert.match(worker?.say ?? '', /is blocked in GET \/sums\.$/);
    assert.match(jobsCard?.say ?? '', /is blocked in ImportJob \(j1\)\.$/);
    assert.deepEqual(
      machine?.work.map(({ what, where, id }) => [what, where, id]),
      [
        ['GET /sums', 'Worker 0', 'Request r7'],
        ['ImportJob on slow', 'Jobs', 'Job j1'],
      ],
    );
    const [first] = statusLines(status, { systemStatus: undefined, trouble: undefined }, new Date(NOW));
    assert.match(first ?? '', /1 of 2 workers ready, job processor unresponsive$/);
    assert.match(
      statsText(status.stats),
      /^Workers: 1 of 2 ready, .*^ +0 .* unresponsive .*^Jobs: +pid \d+, unresponsive,/ms,
    );
  });

  it('shows on its card that the jobs stand still, when each part moved, and which server is to blame', () => {
    const full = { ...STILL, part: 'fetch', cause: 'postgresDisk' } as const;
    const { machine, dependencies, verdict } = onThePage(
      systemStatusOf(treeStatusOf({ jobs: reporting({ progress: [full] }) })),
    );
    const { tone, phase, moved } = machine?.nodes.at(-1) ?? assert.fail();
    assert.deepEqual([tone, phase, moved], ['bad', 'stands still', 'Last progress: fetch 21\u00a0s ago']);
    assert.deepEqual([verdict.issues[0]?.href, dependencies[0]?.tone], ['#postgres', 'bad']);
  });

  it('has an issue if the tree that is shown no longer answers', () => {
    const gone = systemStatusOf(treeStatusOf(), { trees: other(treeStatusOf({ id: 'b', name: 'web.2' }), 12_000) });
    const { verdict } = overviewView(gone, 'b', { jobs, mail }, wordsIn('en')) ?? assert.fail();
    assert.match(verdict.issues.map(lineOf).join(), /^Tree web\.2 is unresponsive for 12\ss/);
  });

  it('links each issue to its cause', () => {
    for (const [state, systemStatus] of STATES)
      for (const { id, href } of onThePage(systemStatus).verdict.issues) {
        const [, cause = ''] = /^(?:late|paused|unserved|failing|restarts|unresponsive|hot)-(.+)/.exec(id) ?? [];
        assert.ok(/^(\/ops|#)/.test(href) && href.endsWith(cause), `${state}: ${href}`);
        if (id === 'serverErrors-') assert.equal(href, '/ops/requests');
      }
  });

  it('counts one worker and one client as one', () => {
    const status = treeStatusOf({ workers: [workerOf(0)], slots: [slotOf(0)], stats: { workers: 1 } });
    const one = systemStatusOf(status, { redis: known({ ...REDIS, clients: 1, maxClients: 10_000 }) });
    const { verdict, machine, dependencies } = onThePage(one);
    assert.match(verdict.line, /^1 of 1 worker takes requests/);
    assert.match(machine?.nodes[0]?.say ?? '', /sends to 1 of 1 worker$/);
    assert.match(dependencies[1]?.say ?? '', / 1 client$/);
  });

  it('says how many jobs wait, also in a paused queue or for a limit, and says so when none does', () => {
    const line = (queues: SystemStatus['queues']) => onThePage(systemStatusOf(treeStatusOf(), { queues })).verdict.line;
    const paused = { since: new Date(NOW), by: 'ada' };
    assert.match(line(known([queueOf('mailer', { waiting: 31, latencyMs: 5000, paused })])), /31 jobs wait/);
    assert.match(line(known([queueOf('mailer', { blocked: 1 })])), /1 job waits/);
    assert.match(line(known([queueOf('mailer')])), /no job waits/);
  });
});
