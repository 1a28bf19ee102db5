import type { JsonValue } from '../core/execution-context';
import type { EnqueueRequest, JobClass } from '../job/definition/job-class';
import { effectiveName } from '../job/definition/options';
import { createPayload } from '../job/enqueue/enqueuer';
import { parsePayload } from '../job/record/payload';
import type { JobFilter, PerformOptions } from './use-jobs';

/**
 * pending: enqueued in a transaction that has not committed. enqueued: waiting to run, for its time, or for a retry.
 * performing: running. The others are final.
 */
export type JobState = 'pending' | 'enqueued' | 'performing' | JobEnd;

/** failed: it failed under inline jobs, which are not retried. */
export type JobEnd = 'succeeded' | 'discarded' | 'dead' | 'failed';

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
  /** Number of runs that have begun. */
  runs = 0;

  constructor(readonly request: EnqueueRequest) {
    this.payload = JSON.stringify(createPayload(request));
    this.dueAt = dueAt(request);
  }

  /** The arguments in serialized form. */
  get args(): readonly JsonValue[] {
    return parsePayload(this.payload).args;
  }
}

/** All jobs enqueued in a test and their states, in the order in which they were enqueued. */
export class JobLog {
  private readonly entries = new Map<LoggedJob, number>();
  private added = 0;

  /** The number of jobs added so far, by which later jobs can be distinguished from earlier ones. */
  get mark(): number {
    return this.added;
  }

  add(entry: LoggedJob): void {
    this.entries.set(entry, this.added);
    this.added += 1;
  }

  /** Removes a job whose transaction was rolled back. */
  remove(entry: LoggedJob): void {
    this.entries.delete(entry);
  }

  /** @param since a `mark`; jobs added before it are excluded. */
  in(states: readonly JobState[], since = 0): LoggedJob[] {
    const found: LoggedJob[] = [];
    for (const [entry, number] of this.entries) {
      if (number >= since && states.includes(entry.state)) found.push(entry);
    }
    return found;
  }

  clear(): void {
    this.entries.clear();
  }
}

function dueAt({ runAt }: EnqueueRequest): number {
  if (!runAt) return Date.now();
  return 'at' in runAt ? runAt.at.getTime() : Date.now() + runAt.inMs;
}

interface Claim {
  readonly id: string;
  /** ms since 1970; Infinity for a claim that does not expire. */
  readonly endsAt: number;
}

/** The holders of the keys of unique jobs, which the rows of real jobs store. */
export class Claims {
  private readonly held = new Map<string, Claim>();

  /**
   * Claims the key of a unique job.
   * @param dueAt earliest time to run, ms since 1970; the claim's time to live starts then.
   * @returns the id of the job that already holds the key; undefined if this job now holds it or is not unique.
   */
  take({ id, unique }: EnqueueRequest, dueAt: number): string | undefined {
    if (!unique) return undefined;
    const holder = this.held.get(unique.key);
    if (holder && holder.endsAt > Date.now()) return holder.id;
    this.held.set(unique.key, { id, endsAt: unique.ttlMs === null ? Number.POSITIVE_INFINITY : dueAt + unique.ttlMs });
    return undefined;
  }

  release(id: string): void {
    for (const [key, claim] of this.held) {
      if (claim.id === id) this.held.delete(key);
    }
  }

  clear(): void {
    this.held.clear();
  }
}

/** @throws TypeError if both `only` and `except` are given. */
export function matchesFilter({ only, except, queue }: JobFilter): (entry: LoggedJob) => boolean {
  if (only !== undefined && except !== undefined) throw new TypeError('give either only or except, not both');
  const wanted = only === undefined ? undefined : [only].flat();
  const unwanted = except === undefined ? [] : [except].flat();
  return ({ request }) =>
    (wanted === undefined || wanted.includes(request.jobClass)) &&
    !unwanted.includes(request.jobClass) &&
    (queue === undefined || request.queue === queue);
}

/** @returns true if the job's time has come, or if it is a retry that need not wait. */
export function isDue({ dueAt, runs }: LoggedJob, { at, retries = 'now' }: PerformOptions): boolean {
  if (runs > 0 && retries === 'now') return true;
  return dueAt <= (at?.getTime() ?? Date.now());
}

/** Example: `WelcomeEmailJob or ReminderJob on mailer`. */
export function describeFilter({ only, except, queue }: JobFilter): string {
  const names = (classes: JobClass | readonly JobClass[]) => [classes].flat().map(effectiveName).join(' or ');
  return [
    only === undefined ? 'jobs' : names(only),
    ...(except === undefined ? [] : [`other than ${names(except)}`]),
    ...(queue === undefined ? [] : [`on ${queue}`]),
  ].join(' ');
}
