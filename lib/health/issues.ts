import {
  type ProcessorStats,
  type ProcessorStatus,
  reported,
  type SlotStatus,
  type Termination,
  type TreeStatus,
  UNRESPONSIVE_MS,
  type WorkerStats,
} from '../cluster/status';
import { sumOverDeploy } from '../core/config';
import { codeOf } from '../core/errors';
import type { QueueStatus } from '../job/row/queue-status';
import { type Holder, type MailFacts, slotHolders } from './probes';
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
  /** The last termination of the process concerned. */
  readonly termination?: Termination | null;
  /** The caller who paused the queue. Viewers do not see the name. */
  readonly by?: string;
  /** The long jobs that occupy the slots of job processors. */
  readonly holders?: readonly Holder[];
  /** Text that may name people: a process's output, a path, a mail server's reply. Viewers do not see it. */
  readonly detail?: string;
}

/** `bad` before `warn`, in the given order within each level. */
export function bySeverity(issues: readonly Issue[]): Issue[] {
  return [...issues.filter(({ level }) => level === 'bad'), ...issues.filter(({ level }) => level === 'warn')];
}

/** A worker stands out when it takes this many times the median of the others, and at least HOT_MB. */
const HOT_FACTOR = 1.8;
const HOT_MB = 100;

/** The workers of one slot; there are two while one is replaced. */
interface SlotHolders {
  /** The worker that stays. */
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

type Liveness = Pick<WorkerStats, 'lastCheckin' | 'heartbeatAgeMs'>;

/**
 * Age of the child's last heartbeat, ms; null while the child is responsive or has not sent one yet. A clock that is set
 * makes no child look unresponsive: timestamps are compared only for a tree of an older version, which reports no age.
 */
export function unresponsiveMs({ lastCheckin, heartbeatAgeMs }: Liveness, now: Date): number | null {
  if (lastCheckin === null) return null;
  const ageMs = heartbeatAgeMs ?? now.getTime() - Date.parse(lastCheckin);
  return ageMs > UNRESPONSIVE_MS ? ageMs : null;
}

/** Ratio of the worker's memory to the median of the others; null when it does not stand out. */
export function hotFactor({ stats }: TreeStatus, index: number, mb: number | undefined): number | null {
  if (mb === undefined || mb < HOT_MB) return null;
  const others = stats.workerStatus.flatMap((one) => (one.index !== index && one.pssMb !== null ? [one.pssMb] : []));
  const median = others.sort((a, b) => a - b)[Math.floor((others.length - 1) / 2)];
  return median !== undefined && mb >= median * HOT_FACTOR ? mb / median : null;
}

/** Number of slots whose worker accepts requests. */
export function readyWorkers({ stats, slots }: TreeStatus): number {
  const ready = new Set(stats.workerStatus.filter(({ state }) => state === 'ready').map(({ index }) => index));
  return slots.filter(({ index }) => ready.has(index)).length;
}

/** Used share of connections or memory above which an operator is warned. */
export const FULL_SHARE = 0.9;
/** One rejected mail points to its address; this many in a row point to the mail server. */
const MAIL_FAILURES = 3;

/** Issues of the services that all trees share: Postgres, Redis, queues, jobs, mail. @param warningMs 0: never late. */
export function serviceIssues(systemStatus: SystemStatus, warningMs: number, trees: readonly KnownTree[]): Issue[] {
  const { queues, redis } = systemStatus;
  const knowsAll = !(redis.ok && redis.value === null);
  const late = (queue: QueueStatus) => queueIssues(queue, { warningMs, trees, knowsAll, at: systemStatus.at });
  return [
    ...awayIssues(systemStatus),
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

function awayIssues({ postgres, redis, redisLost, at }: SystemStatus): Issue[] {
  const issues: Issue[] = [];
  const since = (time: Date) => Math.max(1000, at.getTime() - time.getTime());
  if (!redis.ok) {
    const figures = { spanMs: since(redis.since), error: redisLost ?? codeOf(redis.error) };
    issues.push({ level: 'warn', code: 'redisAway', figures });
  }
  if (!postgres.ok) {
    const figures = { spanMs: since(postgres.since), error: codeOf(postgres.error) };
    issues.push({ level: 'bad', code: 'postgresAway', figures });
  } else if (postgres.value.refusesWrites) issues.push({ level: 'bad', code: 'postgresReadOnly', figures: {} });
  return issues;
}

/** Jobs of a copied database could reach real people: they wait until an operator adopts the database. */
function foreignIssues({ foreign }: SystemStatus): Issue[] {
  return foreign.ok && foreign.value ? [{ level: 'bad', code: 'foreign', figures: {} }] : [];
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
  const about = { subject: name };
  const count = waiting + blocked;
  if (paused) {
    const spanMs = Math.max(1000, at.getTime() - paused.since.getTime());
    return [{ ...about, level: 'warn', code: 'paused', figures: { queue: name, count, spanMs }, by: paused.by }];
  }
  if (!isLate(latencyMs, warningMs)) return [];
  const figures = { queue: name, count, spanMs: latencyMs, limitMs: warningMs };
  const serving = trees.filter(({ heartbeatAgeMs, treeStatus: { limits } }) => {
    return heartbeatAgeMs === null && limits.jobConcurrency > 0 && limits.queues.includes(name);
  });
  if (serving.length === 0 && knowsAll) return [{ ...about, level: 'bad', code: 'unserved', figures }];
  const holders = holdersIn(serving);
  if (holders.length > 0) return [{ ...about, level: 'warn', code: 'slotsHeld', figures, holders }];
  return [{ ...about, level: 'warn', code: 'late', figures }];
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

function failureIssues({ failures, cron }: SystemStatus): Issue[] {
  const issues: Issue[] = [];
  if (failures.ok) {
    const { classes, dead, spanMs, deadSpanMs } = failures.value;
    for (const { class: name, failed, runs } of classes) {
      const figures = { class: name, count: failed, runs, percent: Math.round((100 * failed) / runs), spanMs };
      issues.push({ level: 'warn', code: 'failing', subject: name, figures });
    }
    if (dead > 0) issues.push({ level: 'warn', code: 'deaths', figures: { count: dead, spanMs: deadSpanMs } });
  }
  for (const { name, place } of cron.ok ? cron.value : [])
    issues.push({ level: 'warn', code: 'cronFails', subject: name, figures: { name, place } });
  return issues;
}

/** Maximum number of connections to Postgres that all trees may have open during a deploy. */
export function plannedConnections(trees: readonly Pick<KnownTree, 'treeStatus'>[]): number {
  return sumOverDeploy(trees.map(({ treeStatus }) => treeStatus.limits.databaseConnections ?? 0));
}

function limitIssues({ postgres, redis }: SystemStatus, trees: readonly KnownTree[]): Issue[] {
  const issues: Issue[] = [];
  const planned = plannedConnections(trees);
  if (postgres.ok && planned > postgres.value.allowed) {
    const figures = { planned, allowed: postgres.value.allowed };
    issues.push({ level: 'warn', code: 'connectionsPlanned', figures });
  }
  if (postgres.ok && postgres.value.used / postgres.value.allowed > FULL_SHARE) {
    const { used, allowed } = postgres.value;
    issues.push({ level: 'warn', code: 'connections', figures: { used, allowed } });
  }
  if (redis.ok && redis.value && redis.value.maxBytes > 0) {
    const { usedBytes, maxBytes, policy } = redis.value;
    const share = usedBytes / maxBytes;
    const figures = { percent: Math.round(100 * share) };
    if (share > FULL_SHARE) issues.push({ level: share < 1 ? 'warn' : 'bad', code: 'redisFull', figures });
    if (policy !== 'noeviction') issues.push({ level: 'warn', code: 'eviction', figures: { policy } });
  }
  return issues;
}

/** True when enough mails have failed in a row to blame the mail server rather than one address. */
export function isFailing({ failure, failedSince }: MailFacts): boolean {
  return failure !== null && failedSince >= MAIL_FAILURES;
}

function mailIssues({ mail, at }: SystemStatus): Issue[] {
  if (!mail.ok || !isFailing(mail.value)) return [];
  const { failure, failedSince, lastSent } = mail.value;
  if (!failure) return [];
  const spanMs = Math.max(1000, at.getTime() - failure.at.getTime());
  const unsent = lastSent !== null && { unsentMs: Math.max(1000, at.getTime() - lastSent.getTime()) };
  const figures = { count: failedSince, spanMs, ...unsent };
  return [{ level: 'warn', code: 'mailFails', figures, detail: failure.error }];
}

/** Issues of one tree's processes. Ages are measured by the clock of that tree's host. */
export function treeIssues(treeStatus: TreeStatus): Issue[] {
  const pending = unreadyIssues(treeStatus);
  const others = processIssues(treeStatus, new Date(treeStatus.at));
  // What stands still for want of a table needs nothing but the migrations.
  const isConsequence = ({ code, detail = '' }: Issue) =>
    pending.length > 0 && code === 'stalled' && /does not exist/.test(detail);
  return [...pending, ...others.filter((issue) => !isConsequence(issue))];
}

function processIssues(treeStatus: TreeStatus, now: Date): Issue[] {
  return [
    ...workerIssues(treeStatus, now),
    ...jobsIssues(treeStatus, now),
    ...trafficIssues(treeStatus),
    ...memoryIssues(treeStatus),
    ...phaseIssues(treeStatus),
  ];
}

/** Names of migrations that an issue lists. */
const MAX_LISTED = 3;

/** Other reasons why a tree is not ready have issues of their own: that Postgres refuses writes, that jobs do not run. */
function unreadyIssues({ stats: { workerStatus, single } }: TreeStatus): Issue[] {
  const statuses = [...workerStatus.map(({ lastStatus }) => reported(lastStatus)), single];
  const unready = statuses.flatMap((status) => status?.unready ?? []);
  const pending = unready.find(({ cause }) => cause === 'migrations');
  if (pending?.cause === 'migrations') {
    const { names } = pending;
    const listed = names.slice(0, MAX_LISTED).join(', ') + (names.length > MAX_LISTED ? ', …' : '');
    return [{ level: 'bad', code: 'migrationsPending', figures: { count: names.length, names: listed } }];
  }
  const unread = unready.find(({ cause }) => cause === 'unread');
  return unread?.cause === 'unread'
    ? [{ level: 'bad', code: 'migrationsUnread', figures: { error: unread.error } }]
    : [];
}

function workerIssues(treeStatus: TreeStatus, now: Date): Issue[] {
  const { slots, stats, stopping } = treeStatus;
  const nobody = stats.workers > 0 && readyWorkers(treeStatus) === 0 && !stopping;
  return [
    ...(nobody ? [{ level: 'bad', code: 'nobodyServes', figures: { count: stats.workers } } as const] : []),
    ...slots.flatMap((slot) => slotIssue(treeStatus, slot, now)),
  ];
}

function slotIssue(treeStatus: TreeStatus, slot: SlotStatus, now: Date): Issue[] {
  const here = inSlot(treeStatus, slot);
  const { current, outgoing } = here;
  const about = { subject: String(slot.index) };
  if (isRestarting(slot, here)) {
    const figures = { slot: slot.index, attempt: slot.nextRestart?.attempt ?? 1 };
    return [{ ...about, level: 'bad', code: 'restarts', figures, termination: slot.lastTermination }];
  }
  if (current?.state !== 'ready') return [];
  const status = reported(current.lastStatus);
  const heartbeatAgeMs = unresponsiveMs(current, now);
  if (heartbeatAgeMs !== null) {
    const figures = { slot: slot.index, spanMs: heartbeatAgeMs };
    return [{ ...about, level: 'warn', code: 'unresponsive', figures, detail: status?.inFlight[0]?.what ?? '' }];
  }
  const mb = current.pssMb ?? status?.rssMb;
  const factor = hotFactor(treeStatus, slot.index, mb);
  if (factor === null || outgoing) return [];
  return [{ ...about, level: 'warn', code: 'hot', figures: { slot: slot.index, mb: Math.round(mb ?? 0) } }];
}

function listeningIssues({ listening }: ProcessorStatus): Issue[] {
  return listening === false ? [{ level: 'warn', code: 'listenDeaf', figures: {} }] : [];
}

/** Expected while a release is being deployed; otherwise no processor has the code that these jobs need. */
function leftIssues({ left = [] }: ProcessorStatus): Issue[] {
  return left.map(({ class: name, reason, times, spanMs }) => {
    return { level: 'warn', code: 'left', subject: name, figures: { class: name, reason, times, spanMs } };
  });
}

/** Paused queues and a quiet processor have issues of their own. */
function stalledIssues(status: ProcessorStatus): Issue[] {
  return findStandstills(status)
    .filter(({ part }) => part !== 'queue')
    .map(({ part, cause, spanMs, about }) => {
      return { level: 'bad', code: 'stalled', subject: part, figures: { part, cause, spanMs }, detail: about };
    });
}

/** Before its first heartbeat there is nothing else that it could tell. */
function slowBoot({ heartbeatAgeMs: spanMs }: ProcessorStats, { bootTimeoutMs }: TreeStatus['limits']): Issue[] {
  if (typeof spanMs !== 'number' || bootTimeoutMs === undefined || spanMs <= bootTimeoutMs) return [];
  const figures = { part: 'processor', cause: 'boots', spanMs };
  return [{ level: 'bad', code: 'stalled', subject: 'processor', figures, detail: '' }];
}

function jobsIssues({ stats, processor: { lastTermination, nextRestart }, limits }: TreeStatus, now: Date): Issue[] {
  if (limits.jobConcurrency === 0) return [];
  const { jobProcessor: processor } = stats;
  const attempt = nextRestart?.attempt ?? 0;
  const restarting: Issue = { level: 'bad', code: 'jobsRestart', figures: { attempt }, termination: lastTermination };
  switch (processor.state) {
    case 'crash_loop':
      return [{ level: 'bad', code: 'crashLoop', figures: { count: attempt }, termination: lastTermination }];
    case 'backing_off':
      return [restarting];
    case 'disabled':
      return nextRestart ? [restarting] : [];
    case 'booting':
      return [...(nextRestart ? [restarting] : []), ...slowBoot(processor, limits)];
    case 'quiet':
      return [{ level: 'warn', code: 'jobsQuiet', figures: {} }];
    case 'ready': {
      const heartbeatAgeMs = unresponsiveMs(processor, now);
      const status = reported(processor.lastStatus);
      const running = status?.inFlight.map(({ what, job }) => job?.class ?? what).join(', ');
      if (heartbeatAgeMs === null)
        return status ? [...stalledIssues(status), ...listeningIssues(status), ...leftIssues(status)] : [];
      return [{ level: 'bad', code: 'jobsUnresponsive', figures: { spanMs: heartbeatAgeMs }, detail: running ?? '' }];
    }
    default:
      return [];
  }
}

function trafficIssues({ rates: { shed, serverErrors } }: TreeStatus): Issue[] {
  const own = serverErrors - shed;
  return [
    ...(shed > 0 ? [{ level: 'bad', code: 'shed', figures: { count: shed } } as const] : []),
    ...(own > 0 ? [{ level: 'warn', code: 'serverErrors', figures: { count: own } } as const] : []),
  ];
}

function memoryIssues({ stats, limits }: TreeStatus): Issue[] {
  const { pssMb: used, limitMb: limit } = stats.memory;
  if (used === null || limit === null || limits.recycleAboveMb === null || used <= limits.recycleAboveMb) return [];
  const figures = { percent: Math.round((100 * used) / limit), used: Math.round(used), limit };
  return [{ level: used > limit ? 'bad' : 'warn', code: 'memory', figures }];
}

function phaseIssues({ stats: { lastPhase: last } }: TreeStatus): Issue[] {
  if (!last || last.completed) return [];
  return [{ level: 'warn', code: 'phase', figures: { phase: last.phase }, detail: last.reason ?? '' }];
}
