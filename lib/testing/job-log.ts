import type { JsonValue } from '../core/execution-context';
import type { EnqueueRequest } from '../job/definition/job-class';
import { type JobClass, jobNameOf } from '../job/definition/job-class';
import { createPayload, newRecord, readPayload, readRecord } from '../job/record/record';
import type { JobFilter, PerformOptions } from './use-jobs';

/**
 * pending: in a transaction that has not committed. enqueued: will run; also while it waits for its time, or for a
 * retry. performing: runs now. The others are ends.
 */
export type JobState = 'pending' | 'enqueued' | 'performing' | JobEnd;

/** failed: of a job that was performed at once, by the inline adapter, which retries nothing. */
export type JobEnd = 'succeeded' | 'discarded' | 'dead' | 'failed';

/** One enqueued job, from `performLater` to its end. */
export class LoggedJob {
  state: JobState = 'pending';
  /** The record that travels, as text: nothing of the caller's objects survives in it. */
  record: string;
  /** Not to run before, ms since 1970. */
  dueAt: number;
  /** Of the last run, if it failed. */
  error: Error | undefined;
  /** Runs that have begun. */
  runs = 0;

  constructor(readonly request: EnqueueRequest) {
    this.record = newRecord(JSON.stringify(createPayload(request, 'redis')));
    this.dueAt = dueAt(request);
  }

  /** As they travel. */
  get args(): readonly JsonValue[] {
    return readPayload(readRecord(this.record).data).args;
  }
}

/** What was enqueued, and what became of it, in the order of enqueuing. */
export class JobLog {
  private readonly entries = new Map<LoggedJob, number>();
  private added = 0;

  /** How many there ever were: tells what comes after this moment. */
  get mark(): number {
    return this.added;
  }

  add(entry: LoggedJob): void {
    this.entries.set(entry, this.added);
    this.added += 1;
  }

  /** Its transaction was rolled back: as if it had never been. */
  remove(entry: LoggedJob): void {
    this.entries.delete(entry);
  }

  /** @param since a `mark`: leaves out what was there before it. */
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
  /** ms since 1970. */
  readonly endsAt: number;
}

/** Which job holds the key of a unique one, as the outbox knows it for real jobs. */
export class Claims {
  private readonly held = new Map<string, Claim>();

  /**
   * @param dueAt when the job may run, ms since 1970: from then on its claim ages.
   * @returns the id of the job that holds the key; undefined when the claim is taken by this one, or it needs none.
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

/** @throws TypeError where both `only` and `except` are given. */
export function matchesFilter({ only, except, queue }: JobFilter): (entry: LoggedJob) => boolean {
  if (only !== undefined && except !== undefined) throw new TypeError('give either only or except, not both');
  const wanted = only === undefined ? undefined : [only].flat();
  const unwanted = except === undefined ? [] : [except].flat();
  return ({ request }) =>
    (wanted === undefined || wanted.includes(request.jobClass)) &&
    !unwanted.includes(request.jobClass) &&
    (queue === undefined || request.queue === queue);
}

/** Whether it is to run now, as far as time goes. */
export function isDue({ dueAt, runs }: LoggedJob, { at, retries = 'now' }: PerformOptions): boolean {
  if (runs > 0 && retries === 'now') return true;
  return dueAt <= (at?.getTime() ?? Date.now());
}

/** `WelcomeEmailJob or ReminderJob on mailer`. */
export function describeFilter({ only, except, queue }: JobFilter): string {
  const names = (classes: JobClass | readonly JobClass[]) => [classes].flat().map(jobNameOf).join(' or ');
  return [
    only === undefined ? 'jobs' : names(only),
    ...(except === undefined ? [] : [`other than ${names(except)}`]),
    ...(queue === undefined ? [] : [`on ${queue}`]),
  ].join(' ');
}
