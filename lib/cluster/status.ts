import type { EventName } from '../core/events';
import type { PoolStats, ProcessMetrics } from '../core/process-metrics';
import type { RequestCounts, Slowest } from '../core/request-counts';

/** One request or job in flight. */
export interface WorkInFlight {
  /** `POST /users`, or `WelcomeEmailJob on mailer`. */
  readonly what: string;
  readonly id: string;
  readonly ageMs: number;
}

/** Puma's `last_status`, and ours. `{}` before the first heartbeat. */
export interface WorkerStatus extends ProcessMetrics {
  readonly backlog: number;
  readonly running: number;
  readonly poolCapacity: number;
  readonly busyThreads: number;
  readonly maxThreads: number;
  readonly requestsCount: number;
  readonly backlogMax: number;
  /** Requests turned away with 503 so far. */
  readonly shedCount: number;
  /** 99th percentile of the wait for a slot since the last report, ms. */
  readonly queueTimeP99Ms: number;
  readonly inFlight: readonly WorkInFlight[];
  readonly requests: RequestCounts;
  /** Of those that ended since the last report. */
  readonly slowest: Slowest;
  /** Connections to Postgres. */
  readonly pool: PoolStats;
}

export interface WorkerStats {
  readonly startedAt: string;
  readonly pid: number;
  readonly index: number;
  readonly phase: number;
  readonly booted: boolean;
  readonly state: string;
  readonly lastCheckin: string | null;
  readonly lastStatus: WorkerStatus | Record<string, never>;
  /** Proportional set size; null where the system does not tell. */
  readonly pssMb: number | null;
  readonly restarts: Readonly<Partial<Record<RestartReason, number>>>;
}

export interface ProcessorStatus extends ProcessMetrics {
  readonly inFlight: readonly WorkInFlight[];
  readonly quiet: boolean;
  readonly pool: PoolStats;
}

export interface ProcessorStats {
  readonly pid: number | null;
  /** `stopped`: an operator wants it so, until it is resumed or restarted. */
  readonly state: 'off' | 'booting' | 'ready' | 'quiet' | 'stopping' | 'stopped' | 'waiting' | 'circuit open';
  readonly startedAt: string | null;
  readonly lastCheckin: string | null;
  readonly restarts: number;
  readonly pssMb: number | null;
  readonly lastStatus: ProcessorStatus | Record<string, never>;
}

/** What was counted since the tree began, by processes that live and by those that are gone: grows only. */
export interface TreeTotals {
  readonly requests: RequestCounts;
  readonly workerRestarts: Readonly<Partial<Record<RestartReason, number>>>;
  /** CPU time by process: `primary`, `web.0`, `jobs`. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** What `catamount stats` prints, in snake_case: Puma's keys first, then ours. */
export interface TreeStats {
  readonly startedAt: string;
  readonly workers: number;
  readonly phase: number;
  readonly bootedWorkers: number;
  readonly oldWorkers: number;
  readonly workerStatus: readonly WorkerStats[];
  readonly versions: { readonly catamount: string; readonly node: string };
  readonly pid: number;
  /** The one at work. */
  readonly jobProcessor: ProcessorStats;
  /** While that is replaced: a successor that boots, or a predecessor that finishes its jobs. */
  readonly otherJobProcessor?: ProcessorStats | undefined;
  /** Of the primary, where it serves the web itself. */
  readonly single: WorkerStatus | null;
  readonly totals: TreeTotals;
  readonly memory: { readonly pssMb: number | null; readonly limitMb: number | null };
  /** How the last phased restart ended; null before the first. */
  readonly lastPhase: { readonly phase: number; readonly completed: boolean; readonly reason: string | null } | null;
}

/** What an operator can have done to the tree, whichever way it is asked for. */
export interface Operations {
  stats(): Promise<TreeStats>;
  /** What an operator is shown of the tree; its memory is as it was some seconds ago at most. */
  status(): Promise<TreeStatus>;
  /** The figures of every ten seconds after that part, which is in safety with all before it. */
  rollups(after: number): Promise<readonly Rollup[]>;
  /**
   * Has a command of the table done for somebody who does not wait for its end. @returns once it has begun.
   * @param by for the log: who, and from where. @throws UserError when it is refused at once.
   */
  runCommand(command: string, argument: number, by: string): Promise<void>;
  /** Has the tree remember what a process of it has seen, for those who look at its events. */
  recordEvent(event: RecentEvent): Promise<void>;
  /**
   * Replaces every worker, then the job processor, with code read anew. Rejects with the reason when it was given up.
   */
  phasedRestart(): Promise<void>;
  /** Drains all and starts the tree anew in the same primary. */
  restart(): Promise<void>;
  /** Graceful stop. */
  stop(): Promise<void>;
  /** Stop at once, with nothing drained. */
  halt(): Promise<void>;
  /** Puts a fresh worker in the place of the one in that slot. Rejects with the reason when it cannot boot. */
  recycle(slot: number): Promise<void>;
  /** One worker more or one fewer. @returns the new number. @throws UserError at the bounds. */
  scale(by: 1 | -1): Promise<number>;
  quietJobs(): Promise<void>;
  /** Takes `quietJobs` back, and starts a job processor that was stopped by order. */
  resumeJobs(): Promise<void>;
  /** For logs that go to a file which was moved away: standard output is not affected. */
  reopenLog(): Promise<void>;
  /** Collects garbage in every process. */
  gc(): Promise<void>;
  /** Writes a heap snapshot of the worker in that slot. @returns the file's path. */
  heapSnapshot(slot: number): Promise<string>;
}

/** All that run jobs in this tree, the one at work first. */
export function processorsOf({ jobProcessor, otherJobProcessor: other }: TreeStats): readonly ProcessorStats[] {
  return other ? [jobProcessor, other] : [jobProcessor];
}

/** What a process has told of itself; undefined as long as it has told nothing. */
export function reported<T extends object>(status: T | Record<string, never>): T | undefined {
  return Object.keys(status).length > 0 ? (status as T) : undefined;
}

/** How a process ended that was not asked to. Times are ISO 8601. */
export interface Termination {
  readonly at: string;
  readonly reason: RestartReason;
  /** What it said or printed at its end; null: nothing. */
  readonly words: string | null;
  readonly code: number | null;
  readonly signal: string | null;
  /** Of one that was killed for its silence: for how long, and what it was doing by the last that was heard. */
  readonly heartbeatAgeMs: number | null;
  readonly doing: string | null;
}

/** How a process ended, in the words of the log. */
export function endingOf({ code, signal }: { readonly code: number | null; readonly signal: string | null }): string {
  return signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
}

/** A successor that waits for its time. */
export interface NextTry {
  readonly at: string;
  /** 1 for the first since it was last stable. */
  readonly attempt: number;
}

/** A worker's place: what its processes, which come and go, do not tell. */
export interface SlotStatus {
  readonly index: number;
  /** The last one; null where nobody has died. */
  readonly death: Termination | null;
  readonly nextTry: NextTry | null;
  /** When what drains in it is cut off. */
  readonly drainUntil: string | null;
  /** pid of the one that is being replaced and serves on until its successor is ready. */
  readonly outgoing: number | null;
}

/** What an operator is shown of one tree: its figures, who it is, what it may take, what has happened. */
export interface TreeStatus {
  /** When it was made, by its primary's clock. ISO 8601. */
  readonly at: string;
  /** Of this primary: unlike any other's, ever. */
  readonly id: string;
  /** For people: the dyno, or the host and port. */
  readonly name: string;
  /** The same after a restart, and of no other tree that runs: its history goes on there. */
  readonly place: string;
  readonly app: string;
  readonly host: string;
  /** Where it listens; null as long as, or where, it does not. */
  readonly address: string | null;
  readonly stats: TreeStats;
  readonly slots: readonly SlotStatus[];
  readonly processor: { readonly death: Termination | null; readonly nextTry: NextTry | null };
  /** Of the primary. */
  readonly vitals: ProcessMetrics & { readonly pssMb: number | null };
  readonly limits: {
    readonly maxThreads: number;
    readonly backlog: number;
    /** 0 where it runs no jobs. */
    readonly jobConcurrency: number;
    readonly queues: readonly string[];
    readonly weighted: boolean;
    readonly latencyWarningMs: number;
    /** Above this the largest worker is recycled; null without a limit. */
    readonly recycleAboveMb: number | null;
    readonly drainMs: number;
  };
  /** Of the last seconds. */
  readonly rates: {
    readonly requestsPerS: number;
    /** Requests turned away with 503 in the last minute. */
    readonly shed: number;
    /** Answers of 500 and above in the last minute, those 503 among them. */
    readonly serverErrors: number;
    /** Longest time that a request of the last five seconds took, ms. */
    readonly slowestMs: number;
  };
  /** Newest first. */
  readonly events: readonly RecentEvent[];
  /** Servers that this tree has started for itself. */
  readonly embedded: readonly ('postgres' | 'redis')[];
  readonly phasedRestart: boolean;
  readonly stopping: boolean;
}

/** Something that has happened in the tree. */
export interface RecentEvent {
  /** ISO 8601. */
  readonly at: string;
  readonly name: EventName;
  /** The plain values of its payload. */
  readonly about: Readonly<Record<string, string | number | boolean | null>>;
}

/** What is summed up over a stretch of time. */
export interface RollupCounters {
  requests: number;
  /** Answers of 500 and above. */
  serverErrors: number;
  /** Turned away with 503 before the app saw them. */
  shed: number;
  processed: number;
  failed: number;
}

/** The tree's figures of ten seconds. */
export interface Rollup {
  /** Counts from 1, in this primary. */
  readonly number: number;
  /** When it begins, ms since 1970; a multiple of ROLLUP_INTERVAL_MS. */
  readonly at: number;
  readonly sums: RollupCounters;
  /** How long answers took and requests waited for a slot, by the buckets of `RequestCounts`. */
  readonly duration: readonly number[];
  readonly queued: readonly number[];
  /** Of all these requests. */
  readonly slowest: Slowest;
  /** MB by process: `primary`, `worker 0`, `jobs`. */
  readonly memory: Readonly<Record<string, number>>;
}

/** What a job processor has done since it last told. */
export interface Work {
  /** Runs that succeeded, and runs that failed. */
  readonly processed: number;
  readonly failed: number;
}

/** Why a slot got another worker. */
export type RestartReason = 'crash' | 'boot' | 'timeout' | 'phase' | 'memory' | 'asked';
