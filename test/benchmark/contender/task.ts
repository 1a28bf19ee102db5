import type { Stores } from './contender';
import type { ContenderName } from './contenders';

/** What one process is to do, once. */
export type Task =
  /** Puts jobs on the queue, in batches. */
  | { readonly kind: 'fill'; readonly count: number }
  /** Runs jobs that are there already; the first `warmUp` are not measured. `more`: others are there, too, and may run. */
  | {
      readonly kind: 'drain';
      readonly concurrency: number;
      readonly count: number;
      readonly warmUp: number;
      readonly more?: boolean;
    }
  /** The same, with an eye on memory. */
  | { readonly kind: 'watch'; readonly concurrency: number; readonly count: number }
  | { readonly kind: 'enqueue'; readonly mode: EnqueueMode; readonly count: number }
  /** Runs jobs that carry the time they were due, until told to stop. */
  | { readonly kind: 'receive'; readonly concurrency: number; readonly count: number }
  /** Enqueues such jobs one by one with pauses, or all at once to be run later. */
  | { readonly kind: 'send'; readonly count: number; readonly laterMs?: number };

export type EnqueueMode = 'single' | 'concurrent' | 'bulk';

export interface Assignment {
  readonly contender: ContenderName;
  readonly stores: Stores;
  readonly task: Task;
}

export interface DrainResult {
  readonly jobsPerSecond: number;
  /** Of the process, user and system, per job. */
  readonly cpuUs: number;
  readonly rssMb: number;
  /** Redis's CPU a job. */
  readonly redisUs?: number;
}

export interface WatchResult {
  readonly jobsPerSecond: number;
  /** A thousand times, evenly over the jobs. */
  readonly rssMb: readonly number[];
}

export interface EnqueueResult {
  readonly jobsPerSecond: number;
  readonly cpuUs: number;
}

/** Lateness of each job, ms. */
export type ReceiveResult = readonly number[];
