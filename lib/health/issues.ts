import {
  CHILD_SILENT_MS,
  CRASH_LOOP_DEATHS,
  type ProcessorStats,
  type ProcessorStatus,
  reported,
  type SlotStatus,
  type Termination,
  type TreeStats,
  type TreeStatus,
  type WorkerStats,
  type WorkerStatus,
  type WorkInFlight,
} from '../cluster/status';
import { sumOverDeploy } from '../core/config';
import { codeOf } from '../core/errors';
import { causeOf } from '../core/failure-cause';
import type { RecentEvent } from '../core/notable-events';
import { routeOf } from '../core/request-counts';
import type { QueueStatus } from '../job/row/queue-status';
import type { ProbeResult } from '../support/cached-probe';
import {
  countHolders,
  type HeldLock,
  type Holder,
  type JobFailures,
  type MailFacts,
  type Suspect,
  slotHolders,
} from './probes';
import { findStandstills } from './standstills';
import type { KnownTree, SystemStatus } from './status-collector';

export type Level = 'warn' | 'bad';

/** Codes of everything that can be wrong, shared by the operator's pages, the terminal and the metrics. */
export const ISSUE_CODES = [
  'noPrimary',
  'migrationsPending',
  'migrationsUnread',
  'nobodyServes',
  'restarts',
  'hot',
  'unresponsive',
  'crashLoop',
  'jobsRestart',
  'jobsQuiet',
  'jobsUnresponsive',
  'listenDeaf',
  'left',
  'stalled',
  'shed',
  'serverErrors',
  'memory',
  'phase',
  'treeUnresponsive',
  'otherTree',
  'redisAway',
  'postgresAway',
  'postgresReadOnly',
  'foreign',
  'paused',
  'late',
  'slotsHeld',
  'unserved',
  'failing',
  'deaths',
  'cronFails',
  'cronMissed',
  'overtime',
  'rejected',
  'leaks',
  'locked',
  'redisEmptied',
  'clockSet',
  'connections',
  'connectionsPlanned',
  'redisFull',
  'eviction',
  'mailFails',
] as const;
export type IssueCode = (typeof ISSUE_CODES)[number];

/** A condition that needs a person's attention. It carries no prose: each reader words it for itself. */
export interface Issue {
  readonly level: Level;
  readonly code: IssueCode;
  /** Durations are in ms and end in `Ms`; shares are between 0 and 1 and end in `Share`. */
  readonly figures: Readonly<Record<string, string | number>>;
  /** The slot, queue, class or tree concerned, where several issues may have the same code. */
  readonly subject?: string;
  readonly termination?: Termination | null;
  readonly by?: string;
  /** The long jobs that occupy the slots of job processors, or the requests that occupy those of workers. */
  readonly holders?: readonly Holder[];
  /** Text that may name people: a process's output, a path, a mail server's reply. */
  readonly detail?: string;
}

type More = Omit<Issue, 'level' | 'code' | 'figures'>;

function bad(code: IssueCode, figures: Issue['figures'] = {}, more: More = {}): Issue {
  return { level: 'bad', code, figures, ...more };
}

function warn(code: IssueCode, figures: Issue['figures'] = {}, more: More = {}): Issue {
  return { level: 'warn', code, figures, ...more };
}

/** @returns what tells it from other issues of the same tree. */
export function issueKey({ code, subject = '' }: Issue): string {
  return `${code} ${subject}`.trim();
}

/** `bad` before `warn`, in the given order within each level. */
export function bySeverity(issues: readonly Issue[]): Issue[] {
  return [...issues.filter(({ level }) => level === 'bad'), ...issues.filter(({ level }) => level === 'warn')];
}

/** A store that fails stops or delays all else. */
const STORES: readonly IssueCode[] = ['postgresAway', 'postgresReadOnly', 'locked', 'redisAway'];
/** What else may be wrong because of that. */
const CONSEQUENCES: readonly IssueCode[] = [
  'nobodyServes',
  'stalled',
  'shed',
  'serverErrors',
  'late',
  'failing',
  'cronFails',
  'overtime',
  'rejected',
];
/** Causes of a standstill that tell the same as `postgresAway`. */
const AWAY: readonly (string | number | undefined)[] = [
  'noAnswer',
  'unreachable',
  'password',
  'poolEmpty',
  'postgresConnections',
];

/** Causes of a standstill that tell the same as `locked`. */
const LOCKED: readonly (string | number | undefined)[] = ['locked', 'cronLocked', 'noAnswer', 'poolEmpty'];

/**
 * Causes before their consequences, else by severity. What stands still for want of Postgres is no second issue beside the first,
 * and several parts that stand still for one reason are one. Nor is it an issue that a recurring job is missed while all of them
 * stand still.
 * @returns the issues in the order in which an operator should read them.
 */
export function causesFirst(issues: readonly Issue[]): Issue[] {
  const codes = new Set(issues.map(({ code }) => code));
  const stalled = issues.filter(isOfJobs).sort((a, b) => spanOf(b) - spanOf(a));
  const isCronStalled = stalled.some(({ subject }) => subject === 'cron');
  const told = issues.filter((issue) => {
    if (issue.code === 'cronMissed') return !isCronStalled;
    if (!isOfJobs(issue)) return true;
    const { cause } = issue.figures;
    if (cause === 'postgresReadOnly' && codes.has('postgresReadOnly')) return false;
    if (codes.has('postgresAway') && AWAY.includes(cause)) return false;
    if (codes.has('locked') && LOCKED.includes(cause)) return false;
    return issue === stalled.find((one) => one.figures.cause === cause);
  });
  const isConsequence = ({ code }: Issue) => CONSEQUENCES.includes(code) && STORES.some((store) => codes.has(store));
  const stores = told.filter(({ code }) => STORES.includes(code));
  const others = told.filter((issue) => !stores.includes(issue));
  return [
    ...bySeverity(stores),
    ...bySeverity(others.filter((issue) => !isConsequence(issue))),
    ...bySeverity(others.filter(isConsequence)),
  ];
}

/** True for a part of the jobs, except mail, that stands still. */
function isOfJobs({ code, figures: { part } }: Issue): boolean {
  return code === 'stalled' && part !== 'mail';
}

function spanOf({ figures: { spanMs = 0 } }: Issue): number {
  return Number(spanMs);
}

/** A worker stands out when it takes this many times the median of the others, and at least HOT_MB. */
const HOT_FACTOR = 1.8;
const HOT_MB = 100;

/** The workers of one slot; there are two while one is replaced. */
interface SlotHolders {
  readonly current: WorkerStats | undefined;
  /** The worker that keeps serving until its successor is ready. */
  readonly outgoing: WorkerStats | undefined;
}

export function inSlot({ stats }: TreeStatus, slot: SlotStatus): SlotHolders {
  const here = stats.workerStatus.filter(({ index }) => index === slot.index);
  return {
    outgoing: here.find(({ pid }) => pid === slot.outgoing),
    current: here.find(({ pid }) => pid !== slot.outgoing),
  };
}

/** True when the slot's last process has exited, a restart is scheduled, and no other process serves in its place. */
export function isRestarting(slot: SlotStatus, { current, outgoing }: SlotHolders): boolean {
  if (outgoing || current?.state === 'ready' || current?.state === 'draining') return false;
  return slot.nextRestart !== null;
}

/** Age of the child's last heartbeat, ms; null while the child is responsive or has not sent one yet. */
export function unresponsiveMs({ lastCheckin, heartbeatAgeMs }: Pick<WorkerStats, 'lastCheckin' | 'heartbeatAgeMs'>) {
  return lastCheckin !== null && heartbeatAgeMs !== null && heartbeatAgeMs > CHILD_SILENT_MS ? heartbeatAgeMs : null;
}

/** Ratio of the worker's memory to the median of the others; null when it does not stand out. */
export function hotFactor({ stats }: TreeStatus, index: number, mb: number | undefined): number | null {
  if (mb === undefined || mb < HOT_MB) return null;
  const others = stats.workerStatus.flatMap((one) => (one.index !== index && one.pssMb !== null ? [one.pssMb] : []));
  const median = others.sort((a, b) => a - b)[Math.floor((others.length - 1) / 2)];
  return median !== undefined && mb >= median * HOT_FACTOR ? mb / median : null;
}

export function readyWorkers({ workerStatus }: Pick<TreeStats, 'workerStatus'>): number {
  return new Set(workerStatus.filter(({ state }) => state === 'ready').map(({ index }) => index)).size;
}

/** @returns how many of them answer: a worker whose event loop is blocked serves nobody. */
export function servingWorkers({ workerStatus }: Pick<TreeStats, 'workerStatus'>): number {
  return readyWorkers({ workerStatus: workerStatus.filter((worker) => unresponsiveMs(worker) === null) });
}

/** Used share of connections or memory above which an operator is warned. */
const FULL_SHARE = 0.9;
/** A rejected mail points to its address. This many in a row point to the mail server. */
const MAIL_FAILURES = 3;

/** Issues of the services that all trees share: Postgres, Redis, queues, jobs, mail. @param warningMs 0: never late. */
export function serviceIssues(systemStatus: SystemStatus, warningMs: number, trees: readonly KnownTree[]): Issue[] {
  const { queues, redis } = systemStatus;
  const knowsAll = !(redis.ok && redis.value === null);
  const late = (queue: QueueStatus) => queueIssues(queue, { warningMs, trees, knowsAll, at: systemStatus.at });
  return [
    ...awayIssues(systemStatus, trees),
    ...foreignIssues(systemStatus),
    ...(queues.ok ? queues.value.flatMap(late) : []),
    ...failureIssues(systemStatus),
    ...limitIssues(systemStatus, trees),
    ...mailIssues(systemStatus),
  ];
}

/** @param warningMs 0 disables the warning. */
export function isLate(latencyMs: number, warningMs: number): boolean {
  return warningMs > 0 && latencyMs > warningMs;
}

function awayIssues(systemStatus: SystemStatus, trees: readonly KnownTree[]): Issue[] {
  const { postgres, redisLost, at } = systemStatus;
  const redis = redisIn(systemStatus);
  const own = trees.filter((tree) => tree.own).map(({ treeStatus }) => treeStatus.stats.jobProcessor.lastStatus);
  // An outage lasts for as long as the tree has seen it: whoever asks may have begun to look a moment ago.
  const redisMs = Math.max(0, ...own.map((status) => reported(status)?.redisAwayMs ?? 0));
  const parts = trees.flatMap(({ treeStatus }) => reported(treeStatus.stats.jobProcessor.lastStatus)?.progress ?? []);
  const waits = parts.filter(({ part, cause }) => part !== 'mail' && AWAY.includes(cause));
  return [
    redis.ok ? [] : warn('redisAway', away(redis, at, redisMs, redisLost)),
    postgres.ok ? [] : bad('postgresAway', away(postgres, at, Math.max(0, ...waits.map(({ owedMs }) => owedMs)))),
    postgres.ok && postgres.value.refusesWrites ? bad('postgresReadOnly') : [],
    postgres.ok && postgres.value.lock ? lockIssue(postgres.value.lock) : [],
  ].flat();
}

/** A Redis that answers may still deny what everything needs, such as a replica, which takes no writes. */
function redisIn({ redis, trees }: SystemStatus): ProbeResult<unknown> {
  return redis.ok && !trees.ok && causeOf(trees.error).startsWith('redis') ? trees : redis;
}

/** @param knownMs time for which the tree has known, ms. @param lost code or message of the error that ended the connection. */
function away(
  { error, since: from }: Extract<ProbeResult<unknown>, { ok: false }>,
  at: Date,
  knownMs = 0,
  lost: string | null = null,
): Issue['figures'] {
  const cause = causeOf(error);
  const told = lost ?? codeOf(error);
  return { spanMs: Math.max(since(from, at), knownMs), error: told, cause };
}

function lockIssue({ pid, client, query, waiting, spanMs, table }: HeldLock): Issue {
  return bad('locked', { pid, client, count: waiting, spanMs, table }, { detail: query });
}

function since(time: Date, at: Date): number {
  return Math.max(1000, at.getTime() - time.getTime());
}

/** Jobs of a copied database could reach real people: they wait until an operator adopts the database. */
function foreignIssues({ foreign }: SystemStatus): Issue[] {
  return foreign.ok && foreign.value ? [bad('foreign')] : [];
}

interface Around {
  readonly warningMs: number;
  readonly trees: readonly KnownTree[];
  /** false: there is no Redis, so other trees may serve the queue. */
  readonly knowsAll: boolean;
  readonly at: Date;
}

function queueIssues(
  { name, latencyMs, paused, waiting, blocked }: QueueStatus,
  { warningMs, trees, knowsAll, at }: Around,
): Issue[] {
  const subject = name;
  const count = waiting + blocked;
  if (paused)
    return [warn('paused', { queue: name, count, spanMs: since(paused.since, at) }, { subject, by: paused.by })];
  if (!isLate(latencyMs, warningMs)) return [];
  const figures = { queue: name, count, spanMs: latencyMs, limitMs: warningMs };
  const serving = trees.filter(({ heartbeatAgeMs, treeStatus: { limits } }) => {
    return heartbeatAgeMs === null && limits.jobConcurrency > 0 && limits.queues.includes(name);
  });
  if (serving.length === 0 && knowsAll) return [bad('unserved', figures, { subject })];
  const holders = holdersIn(serving);
  return [holders.length > 0 ? warn('slotsHeld', figures, { subject, holders }) : warn('late', figures, { subject })];
}

function holdersIn(trees: readonly KnownTree[]): Holder[] {
  return slotHolders(
    trees.map(({ treeStatus: { limits, stats } }) => ({
      concurrency: limits.jobConcurrency,
      running: (reported(stats.jobProcessor.lastStatus)?.inFlight ?? []).flatMap(({ job, ageMs }) => {
        return job ? { class: job.class, ageMs } : [];
      }),
    })),
  );
}

/** One fact is one issue: the dead jobs of a failing class are told with it, and a failing class that is a cron job's with that. */
function failureIssues({ failures, cron, at }: SystemStatus): Issue[] {
  const { classes, dead, spanMs, deadSpanMs } = failures.ok ? failures.value : NO_FAILURES;
  const all = cron.ok ? cron.value : [];
  const recurring = all.filter(({ place }) => place !== 'missed');
  const isRecurring = (name: string) => recurring.some((each) => each.class === name);
  const deadOf = (name: string) => dead.find((each) => each.class === name)?.count ?? 0;
  const failing = classes.filter((each) => !isRecurring(each.class));
  const died = dead.filter((each) => !isRecurring(each.class) && !failing.some((one) => one.class === each.class));
  return [
    ...all.flatMap(({ name, class: className, dueAt }) =>
      dueAt ? [bad('cronMissed', { name, class: className, spanMs: since(dueAt, at) }, { subject: name })] : [],
    ),
    ...recurring.map(({ name, class: className, place, error }) =>
      warn('cronFails', { name, class: className, place, dead: deadOf(className) }, { subject: name, detail: error }),
    ),
    ...failing.map(({ class: name, failed, runs, error }) => {
      const percent = Math.round((100 * failed) / runs);
      const figures = { class: name, count: failed, runs, percent, spanMs, dead: deadOf(name) };
      return warn('failing', figures, { subject: name, detail: error });
    }),
    ...died.map(({ class: name, count, error }) =>
      warn('deaths', { class: name, count, spanMs: deadSpanMs }, { subject: name, detail: error }),
    ),
  ];
}

const NO_FAILURES: JobFailures = { classes: [], dead: [], spanMs: 0, deadSpanMs: 0 };

/** Maximum number of connections to Postgres that all trees may have open during a deploy. */
export function plannedConnections(trees: readonly Pick<KnownTree, 'treeStatus'>[]): number {
  return sumOverDeploy(trees.map(({ treeStatus }) => treeStatus.limits.databaseConnections));
}

function limitIssues({ postgres, redis }: SystemStatus, trees: readonly KnownTree[]): Issue[] {
  const issues: Issue[] = [];
  if (postgres.ok) {
    const { used, allowed } = postgres.value;
    const planned = plannedConnections(trees);
    if (planned > allowed) issues.push(warn('connectionsPlanned', { planned, allowed }));
    if (used / allowed > FULL_SHARE) issues.push(warn('connections', { used, allowed }));
  }
  if (redis.ok && redis.value && redis.value.maxBytes > 0) {
    const { usedBytes, maxBytes, policy } = redis.value;
    const share = usedBytes / maxBytes;
    const percent = Math.round(100 * share);
    if (share > FULL_SHARE) issues.push(share < 1 ? warn('redisFull', { percent }) : bad('redisFull', { percent }));
    if (policy !== 'noeviction') issues.push(warn('eviction', { policy }));
  }
  return issues;
}

/** True when enough mails have failed in a row to blame the mail server rather than one address. */
export function isFailing({ failure, failedSince }: MailFacts): boolean {
  return failure !== null && failedSince >= MAIL_FAILURES;
}

function mailIssues({ mail, at }: SystemStatus): Issue[] {
  if (!mail.ok || !isFailing(mail.value) || !mail.value.failure) return [];
  const { failure, failedSince: count, lastSent } = mail.value;
  const unsent = lastSent !== null && { unsentMs: since(lastSent, at) };
  return [warn('mailFails', { count, spanMs: since(failure.at, at), ...unsent }, { detail: failure.error })];
}

/** Issues of one tree's processes. @param suspects jobs that may have blocked or ended its job processor. Default: not known. */
export function treeIssues(treeStatus: TreeStatus, suspects: readonly Suspect[] = []): Issue[] {
  const pending = unreadyIssues(treeStatus);
  const others = processIssues(treeStatus, suspects);
  // A part that stands still because a table is missing needs only the migrations.
  const isConsequence = ({ code, detail = '' }: Issue) =>
    pending.length > 0 && code === 'stalled' && /does not exist/.test(detail);
  return [...pending, ...others.filter((issue) => !isConsequence(issue))];
}

function processIssues(treeStatus: TreeStatus, suspects: readonly Suspect[]): Issue[] {
  return [
    ...workerIssues(treeStatus),
    ...jobsIssues(treeStatus, suspects),
    ...trafficIssues(treeStatus),
    ...memoryIssues(treeStatus),
    ...phaseIssues(treeStatus),
    ...eventIssues(treeStatus),
  ];
}

const MAX_LISTED = 3;

/** Other reasons why a tree is not ready have issues of their own: that Postgres refuses writes, that jobs do not run. */
function unreadyIssues({ stats: { workerStatus } }: TreeStatus): Issue[] {
  const statuses = workerStatus.map(({ lastStatus }) => reported(lastStatus));
  const unready = statuses.flatMap((status) => status?.unready ?? []);
  const pending = unready.find(({ cause }) => cause === 'migrations');
  if (pending?.cause === 'migrations') {
    const { names } = pending;
    const listed = names.slice(0, MAX_LISTED).join(', ') + (names.length > MAX_LISTED ? ', …' : '');
    return [bad('migrationsPending', { count: names.length, names: listed })];
  }
  const unread = unready.find(({ cause }) => cause === 'unread');
  return unread?.cause === 'unread' ? [bad('migrationsUnread', { error: unread.error })] : [];
}

function workerIssues(treeStatus: TreeStatus): Issue[] {
  const { slots, stats, stopping } = treeStatus;
  const nobody = stats.workers > 0 && readyWorkers(stats) === 0 && !stopping;
  const ofSlots = slots.flatMap((slot) => slotIssue(treeStatus, slot));
  return nobody ? [bad('nobodyServes', { count: stats.workers }), ...ofSlots] : ofSlots;
}

function slotIssue(treeStatus: TreeStatus, slot: SlotStatus): Issue[] {
  const here = inSlot(treeStatus, slot);
  const { current, outgoing } = here;
  const [index, subject] = [slot.index, String(slot.index)];
  if (isRestarting(slot, here)) {
    const attempt = slot.nextRestart?.attempt ?? 1;
    return [bad('restarts', { slot: index, attempt }, { subject, termination: slot.lastTermination })];
  }
  if (current?.state !== 'ready') return [];
  const status = reported(current.lastStatus);
  const spanMs = unresponsiveMs(current);
  if (spanMs !== null) {
    const work = status?.inFlight[0] ?? current.begun;
    const detail = work ? `${work.what} (${work.id})` : '';
    return [warn('unresponsive', { slot: index, pid: current.pid, spanMs }, { subject, detail })];
  }
  const mb = current.pssMb ?? status?.rssMb;
  if (hotFactor(treeStatus, index, mb) === null || outgoing) return [];
  return [warn('hot', { slot: index, pid: current.pid, mb: Math.round(mb ?? 0) }, { subject })];
}

/** Expected while a release is being deployed; otherwise no processor has the code that these jobs need. */
function leftIssues({ left = [] }: ProcessorStatus): Issue[] {
  return left.map(({ class: name, reason, times, spanMs }) =>
    warn('left', { class: name, reason, times, spanMs }, { subject: name }),
  );
}

/** Paused queues and a quiet processor have issues of their own. */
function stalledIssues(status: ProcessorStatus): Issue[] {
  return findStandstills(status)
    .filter(({ part }) => part !== 'queue')
    .map(({ part, cause, spanMs, about }) => bad('stalled', { part, cause, spanMs }, { subject: part, detail: about }));
}

/** Before its first heartbeat there is nothing else that it could tell. */
function slowBoot({ heartbeatAgeMs: spanMs }: ProcessorStats, { bootTimeoutMs }: TreeStatus['limits']): Issue[] {
  if (spanMs === null || spanMs <= bootTimeoutMs) return [];
  return [bad('stalled', { part: 'processor', cause: 'boots', spanMs }, { subject: 'processor', detail: '' })];
}

function jobsIssues(
  { stats, processor: { lastTermination, nextRestart }, limits }: TreeStatus,
  suspects: readonly Suspect[],
): Issue[] {
  if (limits.jobConcurrency === 0) return [];
  const { jobProcessor: processor } = stats;
  const attempt = nextRestart?.attempt ?? 0;
  // A processor that died while it booted had no job.
  const hand = lastTermination?.reason === 'boot' ? [] : suspects;
  const death = { termination: lastTermination, detail: hand.map(named).join(', ') };
  const queue = hand[0]?.queue ?? '';
  // It is a crash loop until it stays up, also while it is tried again.
  const loops = processor.state === 'crash_loop' || attempt >= CRASH_LOOP_DEATHS;
  const restarting = loops
    ? bad('crashLoop', { count: attempt, queue }, death)
    : bad('jobsRestart', { attempt, queue }, death);
  switch (processor.state) {
    case 'crash_loop':
    case 'backing_off':
      return [restarting];
    case 'booting':
      return [...(nextRestart ? [restarting] : []), ...slowBoot(processor, limits)];
    case 'quiet':
      return [warn('jobsQuiet')];
    case 'ready': {
      const spanMs = unresponsiveMs(processor);
      const status = reported(processor.lastStatus);
      const running = suspects.length > 0 ? suspects.map(named) : (status?.inFlight.map(nameOf) ?? []);
      if (spanMs !== null)
        return [bad('jobsUnresponsive', { spanMs, pid: processor.pid ?? 0 }, { detail: running.join(', ') })];
      if (!status) return [];
      return [
        ...stalledIssues(status),
        ...overtimeIssues(status),
        ...(status.listening === false ? [warn('listenDeaf')] : []),
        ...leftIssues(status),
      ];
    }
    default:
      return [];
  }
}

function named({ class: name, id }: Pick<Suspect, 'class' | 'id'>): string {
  return `${name} (${id})`;
}

function nameOf({ what, job, id }: WorkInFlight): string {
  return named({ class: job?.class ?? what, id });
}

/** A run that goes on for so long after its timeout, ms, ignores its signal. */
const OVERTIME_MS = 5000;

/** The longest run of each class that ignores that its time is up: it keeps its slot. */
function overtimeIssues({ inFlight }: ProcessorStatus): Issue[] {
  const late = inFlight.filter(({ ageMs, timeoutMs }) => timeoutMs !== undefined && ageMs > timeoutMs + OVERTIME_MS);
  const oldest = late.sort((a, b) => b.ageMs - a.ageMs);
  const classes = new Map(oldest.map((work) => [work.job?.class ?? work.what, work] as const).reverse());
  return [...classes].map(([name, { id, ageMs, timeoutMs = 0 }]) =>
    warn('overtime', { class: name, spanMs: ageMs, limitMs: timeoutMs }, { subject: name, detail: id }),
  );
}

/** Error texts of requests are of the last minute, as the counts are. */
const MINUTE_MS = 60_000;

function trafficIssues({ rates: { shed, serverErrors, requestsPerS }, stats: { workerStatus } }: TreeStatus): Issue[] {
  const own = serverErrors - shed;
  const statuses = workerStatus.flatMap(({ lastStatus }) => reported(lastStatus) ?? []);
  const errors = statuses.flatMap(({ lastError }) => (lastError && lastError.ageMs < MINUTE_MS ? [lastError] : []));
  const [last] = errors.sort((a, b) => a.ageMs - b.ageMs);
  return [
    shed > 0 ? bad('shed', { count: shed }, { holders: holdersOf(statuses.flatMap(({ inFlight }) => inFlight)) }) : [],
    own > 0
      ? warn('serverErrors', { count: own }, { detail: last ? `${last.what}: ${last.error} (${last.id})` : '' })
      : [],
    rejectedIssues(statuses, requestsPerS),
  ].flat();
}

/** So many rejections of one route in a minute, and this share of all requests, are no mistakes of single people. */
const MANY_REJECTED = 50;
const MANY_REJECTED_SHARE = 0.5;

function rejectedIssues(statuses: readonly WorkerStatus[], requestsPerS: number): Issue[] {
  const all = statuses.flatMap(({ rejected }) => rejected ?? []);
  const [most] = all.sort((a, b) => b.count - a.count);
  if (!most) return [];
  const { route, status } = most;
  const same = all.filter((one) => one.route === route && one.status === status);
  const count = same.reduce((sum, one) => sum + one.count, 0);
  const isMany = count >= MANY_REJECTED && count >= (requestsPerS * MINUTE_MS * MANY_REJECTED_SHARE) / 1000;
  return isMany ? [warn('rejected', { count, status }, { subject: route, detail: route })] : [];
}

const MAX_ROUTES = 3;

/** @returns the requests in flight by their method and path, without the ids in it; those with the most first. */
function holdersOf(inFlight: readonly WorkInFlight[]): Holder[] {
  return countHolders(inFlight.map(({ what, ageMs }) => ({ class: routeOf(what), ageMs }))).slice(0, MAX_ROUTES);
}

function memoryIssues({ stats, limits }: TreeStatus): Issue[] {
  const { pssMb: used, limitMb: limit } = stats.memory;
  if (used === null || limit === null || limits.recycleAboveMb === null || used <= limits.recycleAboveMb) return [];
  const figures = { percent: Math.round((100 * used) / limit), used: Math.round(used), limit };
  const [largest] = stats.workerStatus.toSorted((a, b) => (b.pssMb ?? 0) - (a.pssMb ?? 0));
  const more = largest && { slot: largest.index, pid: largest.pid, mb: Math.round(largest.pssMb ?? 0) };
  return [used > limit ? bad('memory', { ...figures, ...more }) : warn('memory', { ...figures, ...more })];
}

/** For how long an operator is told of something that has happened, ms; of a leak, if it has happened more than once. */
const TOLD_MS = 10 * 60_000;
const LEAK_MS = 3_600_000;

function jump(ms: number, spanMs: number): Issue['figures'] {
  return { way: ms < 0 ? 'back' : 'forward', jumpMs: Math.abs(ms), spanMs };
}

/** What has happened and is over, by the events that the primary keeps. */
function eventIssues({ at, events }: TreeStatus): Issue[] {
  const ageOf = (event: RecentEvent) => Date.parse(at) - Date.parse(event.at);
  const latest = (name: RecentEvent['name'], withinMs: number) =>
    events.filter((event) => event.name === name && ageOf(event) >= 0 && ageOf(event) < withinMs);
  const [clock] = latest('clock.set', TOLD_MS);
  const [emptied] = latest('redis.emptied', TOLD_MS);
  const grown = latest('memory.high', LEAK_MS);
  const [last] = grown;
  return [
    last && (grown.length > 1 || ageOf(last) < TOLD_MS)
      ? warn('leaks', {
          count: grown.length,
          ...(typeof last.about.slot === 'number' && { slot: last.about.slot }),
          mb: Math.round(Number(last.about.workerMb)),
          spanMs: ageOf(last),
        })
      : [],
    clock ? warn('clockSet', jump(Number(clock.about.ms), ageOf(clock))) : [],
    emptied ? warn('redisEmptied', { spanMs: ageOf(emptied) }) : [],
  ].flat();
}

function phaseIssues({ stats: { lastPhase: last } }: TreeStatus): Issue[] {
  return !last || last.completed ? [] : [warn('phase', { phase: last.phase }, { detail: last.reason ?? '' })];
}
