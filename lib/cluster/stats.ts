import type { PoolUse } from '../core/pool-use';
import type { RequestCounts, Slowest } from '../core/request-counts';
import type { Vitals } from '../core/vitals';
import type { FigurePart } from './figures';
import type { RecentEvent } from './recent-events';
import type { RestartReason } from './slot';
import type { TreePicture } from './tree-picture';

/** One request or job in flight. */
export interface WorkInFlight {
  /** `POST /users`, or `WelcomeEmailJob on mailer`. */
  readonly what: string;
  readonly id: string;
  readonly ageMs: number;
}

/** Puma's `last_status`, and ours. `{}` before the first check-in. */
export interface WorkerStatus extends Vitals {
  readonly backlog: number;
  readonly running: number;
  readonly pool_capacity: number;
  readonly busy_threads: number;
  readonly max_threads: number;
  readonly requests_count: number;
  readonly backlog_max: number;
  /** Requests turned away with 503 so far. */
  readonly shed_count: number;
  /** 99th percentile of the wait for a slot since the last report, ms. */
  readonly queue_time_p99_ms: number;
  readonly in_flight: readonly WorkInFlight[];
  readonly requests: RequestCounts;
  /** Of those that ended since the last report. */
  readonly slowest: Slowest;
  /** Connections to Postgres. */
  readonly pool: PoolUse;
}

export interface WorkerStats {
  readonly started_at: string;
  readonly pid: number;
  readonly index: number;
  readonly phase: number;
  readonly booted: boolean;
  readonly state: string;
  readonly last_checkin: string | null;
  readonly last_status: WorkerStatus | Record<string, never>;
  /** Proportional set size; null where the system does not tell. */
  readonly pss_mb: number | null;
  readonly restarts: Readonly<Partial<Record<RestartReason, number>>>;
}

export interface ProcessorStatus extends Vitals {
  readonly in_flight: readonly WorkInFlight[];
  readonly quiet: boolean;
  readonly pool: PoolUse;
}

export interface ProcessorStats {
  readonly pid: number | null;
  /** `stopped`: an operator wants it so, until it is resumed or restarted. */
  readonly state: 'off' | 'booting' | 'ready' | 'quiet' | 'stopping' | 'stopped' | 'waiting' | 'circuit open';
  readonly started_at: string | null;
  readonly last_checkin: string | null;
  readonly restarts: number;
  readonly pss_mb: number | null;
  readonly last_status: ProcessorStatus | Record<string, never>;
}

/** What was counted since the tree began, by processes that live and by those that are gone: grows only. */
export interface TreeTotals {
  readonly requests: RequestCounts;
  readonly worker_restarts: Readonly<Partial<Record<RestartReason, number>>>;
  /** CPU time by process: `primary`, `web.0`, `jobs`. */
  readonly cpu_seconds: Readonly<Record<string, number>>;
}

/** What `catamount stats` prints: Puma's keys first, then ours. */
export interface TreeStats {
  readonly started_at: string;
  readonly workers: number;
  readonly phase: number;
  readonly booted_workers: number;
  readonly old_workers: number;
  readonly worker_status: readonly WorkerStats[];
  readonly versions: { readonly catamount: string; readonly node: string };
  readonly pid: number;
  /** The one at work. */
  readonly job_processor: ProcessorStats;
  /** While that is replaced: a successor that boots, or a predecessor that finishes its jobs. */
  readonly other_job_processor?: ProcessorStats | undefined;
  /** Of the primary, where it serves the web itself. */
  readonly single: WorkerStatus | null;
  readonly totals: TreeTotals;
  readonly memory: { readonly pss_mb: number | null; readonly limit_mb: number | null };
  /** How the last phased restart ended; null before the first. */
  readonly last_phase: { readonly phase: number; readonly completed: boolean; readonly reason: string | null } | null;
}

/** What an operator can have done to the tree, whichever way it is asked for. */
export interface Operations {
  stats(): Promise<TreeStats>;
  /** What an operator is shown of the tree; its memory is as it was some seconds ago at most. */
  look(): Promise<TreePicture>;
  /** The figures of every ten seconds after that part, which is in safety with all before it. */
  figures(after: number): Promise<readonly FigurePart[]>;
  /**
   * Has a command of the table done for somebody who does not wait for its end. @returns once it has begun.
   * @param by for the log: who, and from where. @throws UserError when it is refused at once.
   */
  order(command: string, argument: number, by: string): Promise<void>;
  /** Has the tree remember what a process of it has seen, for those who look at its events. */
  happened(event: RecentEvent): Promise<void>;
  /** Replaces every worker, then the job processor, with code read anew. Rejects with the reason when it was given up. */
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
export function processorsOf({ job_processor, other_job_processor: other }: TreeStats): readonly ProcessorStats[] {
  return other ? [job_processor, other] : [job_processor];
}

/** What a process has told of itself; undefined as long as it has told nothing. */
export function told<T extends object>(status: T | Record<string, never>): T | undefined {
  return Object.keys(status).length > 0 ? (status as T) : undefined;
}
