import type { JsonValue } from '../core/execution-context';
import type { EnqueueRequest } from '../job/definition/job-class';
import { compileOptions } from '../job/definition/options';
import type { StoredSteps } from '../job/perform/steps';
import { type Keyring, readArguments } from '../job/record/encryption';
import { createPayload } from '../job/record/new-payload';
import { parsePayload } from '../job/record/payload';

/**
 * pending: enqueued in a transaction that has not committed. enqueued: waiting to run, for its time, or for a retry.
 * performing: running. The others are final. left: it was cancelled or replaced while it waited.
 */
export type JobState = 'pending' | 'enqueued' | 'performing' | 'left' | JobEnd;

/** failed: it failed under inline jobs, which are not retried. */
export type JobEnd = 'succeeded' | 'discarded' | 'dead' | 'failed' | 'cancelled' | 'expired';

/** One enqueued job, from `performLater` to its end. */
export class LoggedJob {
  state: JobState = 'pending';
  /** As its row would have it, so that it shares no objects with the enqueuing code. */
  readonly payload: string;
  /** The text of a `JobHistory`; null when it has not failed yet. */
  history: string | null = null;
  /** Runs that have failed. */
  attempts = 0;
  /** Earliest time to run, ms since 1970. */
  dueAt: number;
  /** Error of the last run, if it failed. */
  error: Error | undefined;
  /** true: its last run has asked to run again at `dueAt`. */
  snoozed = false;
  /** Number of runs that have begun. */
  runs = 0;
  /** The text of an `Ending`, once a job whose class has `keep` is done. */
  ending: string | null = null;
  /** Cursor and steps, for its next run. */
  cursor: string | undefined;
  steps: StoredSteps = {};
  /** When its last run has begun, ms since 1970. */
  begunAt = Number.NEGATIVE_INFINITY;
  /** Until when it holds its unique key, or later enqueues may postpone it, ms since 1970. undefined: it holds none. */
  holdsUntil: number | undefined;
  /** Its number in the log, and its place among jobs that are due at the same time. */
  number = -1;
  place = -1;
  /** Called if its transaction is rolled back: restores the job that it has replaced, or overtaken. */
  undo: (() => void) | undefined;
  /** Aborts its run. */
  cancel: ((reason: string) => void) | undefined;
  /** The reason why it was asked to cancel while it ran. */
  cancelReason: string | undefined;

  constructor(
    /** Its queue changes with a retry of a class with `retryQueue`. */
    public request: EnqueueRequest,
    private readonly keys: Keyring,
    /** The batch that it is a job of. */
    readonly batchId: string | undefined,
  ) {
    this.payload = JSON.stringify(createPayload(request, keys));
    this.dueAt = dueAt(request);
  }

  /** The key whose jobs run in order; undefined for other jobs. */
  get inOrderOf(): string | undefined {
    const { jobClass, limitKey } = this.request;
    return compileOptions(jobClass).unique?.isInOrder ? limitKey : undefined;
  }

  /** The arguments in serialized form. */
  get args(): readonly JsonValue[] {
    return readArguments(parsePayload(this.payload), this.request.id, this.keys);
  }
}

/** All jobs enqueued in a test and their states, in the order in which they were enqueued. */
export class JobLog {
  private readonly entries = new Set<LoggedJob>();
  /** The number of jobs added so far, by which later jobs can be distinguished from earlier ones. */
  mark = 0;

  get all(): readonly LoggedJob[] {
    return [...this.entries];
  }

  add(entry: LoggedJob): void {
    entry.number = this.mark++;
    if (entry.place < 0) entry.place = entry.number;
    this.entries.add(entry);
  }

  /** Removes a job whose transaction was rolled back. */
  remove(entry: LoggedJob): void {
    this.entries.delete(entry);
  }

  /** @param since a `mark`; jobs added before it are excluded. */
  in(states: readonly JobState[], since = 0): LoggedJob[] {
    return this.all.filter(({ number, state }) => number >= since && states.includes(state));
  }

  clear(): void {
    this.entries.clear();
  }
}

function dueAt({ runAt }: EnqueueRequest): number {
  if (!runAt) return Date.now();
  return 'at' in runAt ? runAt.at.getTime() : Date.now() + runAt.inMs;
}
