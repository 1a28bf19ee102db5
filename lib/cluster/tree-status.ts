import type { Caller } from '../core/events';
import type { FailureCause, StalledPart } from '../core/failure-cause';
import type { RecentEvent } from '../core/notable-events';
import type { PoolStats, ProcessMetrics } from '../core/process-metrics';
import type { Rejected, RequestCounts, RequestFailure, Slowest } from '../core/request-counts';

export interface WorkInFlight {
  /** For example `POST /users`, or `WelcomeEmailJob on mailer`. */
  readonly what: string;
  /** The job, unless it is a request. */
  readonly job?: { readonly class: string; readonly queue: string } | undefined;
  readonly id: string;
  readonly ageMs: number;
  /** The `timeout` of the job's class, ms, which the run has exceeded; absent: it has not, or has none. */
  readonly timeoutMs?: number;
}

/** Work as a termination names it. */
export type Activity = Pick<WorkInFlight, 'what' | 'job'>;

/** Puma's `last_status` with additions. `{}` before the first heartbeat. */
export interface WorkerStatus extends ProcessMetrics {
  readonly backlog: number;
  readonly running: number;
  readonly poolCapacity: number;
  readonly busyThreads: number;
  readonly maxThreads: number;
  readonly requestsCount: number;
  readonly backlogMax: number;
  readonly shedCount: number;
  /** 99th percentile of the wait for a slot since the last report, ms. */
  readonly queueTimeP99Ms: number;
  readonly inFlight: readonly WorkInFlight[];
  readonly requests: RequestCounts;
  /** Slowest requests among those that ended since the last report. */
  readonly slowest: Slowest;
  readonly pool: PoolStats;
  /**
   * Address of the last peer that sent the headers of a proxy although TRUST_PROXY does not name it. Empty for a peer that came
   * through a unix socket; null: there was none.
   */
  readonly untrustedProxy: string | null;
  /** Why the tree has not been ready once, in production; null when it has been. */
  readonly unready: Unready | null;
  /** The latest error of a request; null: there was none. */
  readonly lastError: RequestFailure | null;
  /** The route that rejected most requests of the last minute; null: none did. */
  readonly rejected: Rejected | null;
}

/** A reason why no process of a tree has been ready yet. */
export type Unready =
  | { readonly cause: 'migrations'; readonly names: readonly string[] }
  /** Postgres does not say whether any is pending, or whether it accepts writes. */
  | { readonly cause: 'unread'; readonly error: string }
  | { readonly cause: 'writes' | 'jobs' };

export interface WorkerStats {
  readonly startedAt: string;
  readonly pid: number;
  readonly index: number;
  readonly phase: number;
  readonly booted: boolean;
  readonly state: string;
  readonly lastCheckin: string | null;
  /** Age of its last message on the monotonic clock, ms; null before the first. */
  readonly heartbeatAgeMs: number | null;
  readonly lastStatus: WorkerStatus | Record<string, never>;
  /** Proportional set size, MB; null where the system does not report it. */
  readonly pssMb: number | null;
  readonly restarts: Readonly<Partial<Record<RestartReason, number>>>;
  /** The request that a silent worker has begun last, which may block it; absent: it is not silent, or not known. */
  readonly begun?: WorkInFlight | undefined;
}

export interface WaitingQueue {
  readonly queue: string;
  /** Time for which the oldest of them has been due, ms. */
  readonly ms: number;
  /** `ms` as it was when the queue was read. */
  readonly readMs: number;
  readonly paused: boolean;
}

/** The health of a tree's jobs, as its web workers report it at `/ready`. */
export interface JobsHealth {
  /** false while there is no job processor. */
  readonly running: boolean;
  /** Sentences about the parts that are stalled; null: none is. */
  readonly stalled: string | null;
  /** Time since which the oldest job on a queue has been due, s of `process.hrtime`; null: not known, or nothing is stalled. */
  readonly dueSinceS: number | null;
}

/** A part of the job processor that must make progress while it has something to do; otherwise it is stalled. */
export interface PartProgress {
  readonly part: StalledPart;
  /** Time since it last succeeded or found nothing to do, ms; null: it never has. */
  readonly movedMs: number | null;
  /** Time for which something has been due without success, ms; 0: nothing is due. */
  readonly owedMs: number;
  readonly cause: FailureCause;
  /** Message of the last failure; empty if there was none. */
  readonly error: string;
}

/** Jobs of one class that a processor leaves to others: they need what another release has. */
export interface LeftClass {
  readonly class: string;
  readonly reason: string;
  /** Number of times that one was left since the first was met. */
  readonly times: number;
  /** Time since the first was met, ms. */
  readonly spanMs: number;
}

export interface ProcessorStatus extends ProcessMetrics {
  readonly inFlight: readonly WorkInFlight[];
  readonly quiet: boolean;
  /** false: notifications of Postgres do not arrive; null: not known yet. */
  readonly listening: boolean | null;
  readonly progress: readonly PartProgress[];
  /** Sentences about the parts that are stalled; null: none is. */
  readonly stalled: string | null;
  /** Queues with jobs that are due, as it last read them. */
  readonly waiting: readonly WaitingQueue[];
  /** Jobs that it leaves to others, since its code cannot run them; absent when there are none. */
  readonly left?: readonly LeftClass[];
  /** Time for which it has not reached Redis, ms; absent: it does, or there is none. */
  readonly redisAwayMs?: number;
  readonly pool: PoolStats;
}

export interface ProcessorStats {
  /** Unique among all processors ever; the rows that it claims name it. null: there is none. */
  readonly identity: string | null;
  readonly pid: number | null;
  /**
   * `disabled`: the tree runs no jobs. `backing_off`: it died and will be restarted. `crash_loop`: likewise, after several deaths
   * in a row.
   */
  readonly state: 'disabled' | 'booting' | 'ready' | 'quiet' | 'stopping' | 'backing_off' | 'crash_loop';
  readonly startedAt: string | null;
  readonly lastCheckin: string | null;
  /** Age of its last message, before the first its own, on the monotonic clock, ms; null: there is no processor. */
  readonly heartbeatAgeMs: number | null;
  readonly restarts: number;
  readonly pssMb: number | null;
  readonly lastStatus: ProcessorStatus | Record<string, never>;
}

/** Counters since the tree began, including those of processes that are gone: they never decrease. */
export interface TreeTotals {
  readonly requests: RequestCounts;
  readonly workerRestarts: Readonly<Partial<Record<RestartReason, number>>>;
  /** CPU time by process, s: `primary`, `web.0`, `jobs`. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** Output of `catamount stats`, there in snake_case: Puma's keys first, then ours. */
export interface TreeStats {
  readonly startedAt: string;
  readonly workers: number;
  readonly phase: number;
  readonly bootedWorkers: number;
  readonly oldWorkers: number;
  readonly workerStatus: readonly WorkerStats[];
  readonly versions: {
    readonly catamount: string;
    readonly node: string;
    /** The app's release; null if it is not known, undefined in a tree of an older version. */
    readonly release?: string | null;
  };
  readonly pid: number;
  /** The job processor that fetches. */
  readonly jobProcessor: ProcessorStats;
  /** During its replacement: a successor that boots, or a predecessor that finishes its jobs. */
  readonly otherJobProcessor?: ProcessorStats | undefined;
  readonly totals: TreeTotals;
  readonly memory: { readonly pssMb: number | null; readonly limitMb: number | null };
  /** Outcome of the last phased restart; null before the first. */
  readonly lastPhase: { readonly phase: number; readonly completed: boolean; readonly reason: string | null } | null;
}

export interface ThreadStack {
  /** `main thread`, or `thread 1`. */
  readonly thread: string;
  /** The innermost call first: `at work (/app/jobs/report.ts:12:5)`. */
  readonly frames: readonly string[];
}

/** What a process of the tree was running at one moment. */
export interface ProcessStacks {
  /** `worker 0`, or `job processor`. */
  readonly process: string;
  readonly pid: number;
  /** The threads that were running JavaScript: none if it waited for work, or for others. */
  readonly threads: readonly ThreadStack[];
  /** Why its threads cannot be read; null if they were. */
  readonly failure: string | null;
  /** Its requests or jobs in flight, as it last reported them. */
  readonly inFlight: readonly WorkInFlight[];
}

/** A profile of a process, as a file on the machine of its tree. */
export interface Profile {
  /** Its path. */
  readonly file: string;
  readonly kind: 'cpu' | 'heap';
  /** `worker 0`, `job processor` or `primary`. */
  readonly process: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly at: string;
  /** true: taken by itself, because the process lagged. */
  readonly automatic: boolean;
}

/** What a process of the tree may ask the primary. */
export interface Tree {
  /** The status for operators; memory figures are at most some seconds old. */
  status(): Promise<TreeStatus>;
  /** Rollups after that number. The caller confirms with it that all rollups up to there are stored. */
  rollups(after: number): Promise<readonly Rollup[]>;
  /**
   * Starts a command of the table without waiting for its end. Resolves once it has begun.
   * @throws UserError when it is rejected at once.
   */
  runCommand(command: string, args: readonly number[], by: Caller): Promise<void>;
  recordEvent(event: RecentEvent): Promise<void>;
}

/** Operations that an operator can request, by the control socket or a signal. */
export interface Operations extends Tree {
  stats(): Promise<TreeStats>;
  /** Reads what the workers and job processors run at this moment, blocked ones too, and logs it. Takes at most 4 s. */
  stacks(): Promise<readonly ProcessStacks[]>;
  /** Takes a CPU profile of the process with that pid. Rejects with the reason when that fails; one is taken at a time. */
  profile(pid: number, seconds: number): Promise<Profile>;
  /** Writes a heap snapshot of it likewise. It stands still meanwhile. */
  heapSnapshot(pid: number): Promise<Profile>;
  /** Replaces every worker, then the job processor, with newly loaded code. Rejects with the reason when it is aborted. */
  phasedRestart(): Promise<void>;
  /** Drains everything and starts it again under the same primary. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Stops, and kills workers and job processors at once. */
  halt(): Promise<void>;
  /** Replaces the worker in that slot by a new one. Rejects with the reason when the new one cannot boot. */
  recycle(slot: number): Promise<void>;
  /** Adds or removes one worker. @returns the new number. @throws UserError at the bounds. */
  scale(by: 1 | -1): Promise<number>;
  /**
   * Has each worker serve so many requests at once, until the next start.
   * @returns a sentence about what limits them; undefined: nothing does. @throws UserError at the bounds.
   */
  setMaxThreads(count: number): Promise<string | undefined>;
  quietJobs(): Promise<void>;
  /** Undoes `quietJobs`. */
  resumeJobs(): Promise<void>;
}

/** An unexpected end of a process. Times are ISO 8601. */
export interface Termination {
  readonly at: string;
  readonly reason: RestartReason;
  /** The process's last message or output; null if there was none. */
  readonly message: string | null;
  readonly code: number | null;
  readonly signal: string | null;
  /** For an unresponsive process that was killed: age of its last heartbeat, ms, and its work according to that. */
  readonly heartbeatAgeMs: number | null;
  readonly activity: Activity | null;
}

export interface NextRestart {
  readonly at: string;
  /** 1 for the first since the process was last stable. */
  readonly attempt: number;
}

export interface SlotStatus {
  readonly index: number;
  /** The last unexpected end; null if there was none. */
  readonly lastTermination: Termination | null;
  readonly nextRestart: NextRestart | null;
  /** Deadline of the worker that drains, ISO 8601; null when none does. */
  readonly drainUntil: string | null;
  /** pid of the worker being replaced, which serves until its successor is ready. */
  readonly outgoing: number | null;
}

/** The status of one tree for operators: identity, statistics, limits, recent events. */
export interface TreeStatus {
  /** Time of the report by the primary's clock, ISO 8601. */
  readonly at: string;
  /** Unique for each start of a primary. */
  readonly id: string;
  /** Name for people: the dyno, or the host and port. */
  readonly name: string;
  /** Key of the tree's history: it survives a restart, and no other running tree has it. */
  readonly place: string;
  readonly app: string;
  readonly host: string;
  /** The listening address; null before it listens, or if it never does. */
  readonly address: string | null;
  readonly stats: TreeStats;
  readonly slots: readonly SlotStatus[];
  /** Index of the slot that the next `worker-count-down` removes; null in a tree without workers. */
  readonly nextCulled: number | null;
  readonly processor: { readonly lastTermination: Termination | null; readonly nextRestart: NextRestart | null };
  readonly processMetrics: ProcessMetrics & { readonly pssMb: number | null };
  readonly limits: {
    readonly maxThreads: number;
    readonly backlog: number;
    /** 0 if the tree runs no jobs. */
    readonly jobConcurrency: number;
    readonly queues: readonly string[];
    readonly weighted: boolean;
    readonly latencyWarningMs: number;
    /** The largest worker is recycled when the tree takes more than this; null without a limit. */
    readonly recycleAboveMb: number | null;
    readonly drainMs: number;
    /** Time after which a process that boots is late. */
    readonly bootTimeoutMs: number;
    readonly databaseConnections: number;
  };
  readonly rates: {
    readonly requestsPerS: number;
    /** Requests shed with 503 in the last minute. */
    readonly shed: number;
    /** Responses of 500 and above in the last minute, including shed requests. */
    readonly serverErrors: number;
    /** Duration of the slowest request of the last five seconds, ms. */
    readonly slowestMs: number;
  };
  /** Newest first. */
  readonly events: readonly RecentEvent[];
  /** Servers that this tree has started for itself. */
  readonly embedded: readonly ('postgres' | 'redis')[];
  readonly phasedRestart: boolean;
  readonly stopping: boolean;
}

export interface RollupCounters {
  requests: number;
  /** Responses of 500 and above. */
  serverErrors: number;
  /** Requests shed with 503 before they reached the app. */
  shed: number;
  processed: number;
  failed: number;
}

/** The tree's counters for one interval of ten seconds. */
export interface Rollup {
  /** Sequence number from 1, per primary. */
  readonly number: number;
  /** Start of the interval, ms since 1970; a multiple of ROLLUP_INTERVAL_MS. */
  readonly at: number;
  readonly sums: RollupCounters;
  /** Histograms of response times and of waits for a slot, with the buckets of `RequestCounts`. */
  readonly duration: readonly number[];
  readonly queued: readonly number[];
  readonly slowest: Slowest;
  /** MB by process: `primary`, `worker 0`, `jobs`. */
  readonly memory: Readonly<Record<string, number>>;
}

/** Work of a job processor since its last report. */
export interface Work {
  /** Runs that succeeded, and runs that failed. */
  readonly processed: number;
  readonly failed: number;
}

export type RestartReason = 'crash' | 'boot' | 'timeout' | 'phase' | 'memory' | 'asked';
