import type { EnqueueRequest } from '../job/enqueue/request';
import type { JsonValue } from '../job/record/json';
import { createPayload, readPayload } from '../job/record/payload';
import { newRecord, readRecord } from '../job/record/record';

/**
 * pending: in a transaction that has not committed. enqueued: will run; also while it waits for its time, or for a
 * retry. performing: runs now. The others are ends.
 */
export type JobState = 'pending' | 'enqueued' | 'performing' | JobEnd;

/** failed: of a job that was performed at once, by the inline adapter, which retries nothing. */
export type JobEnd = 'succeeded' | 'discarded' | 'dead' | 'failed';

/** One enqueued job, from `performLater` to its end. */
export class LedgerEntry {
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
export class Ledger {
  private readonly entries = new Map<LedgerEntry, number>();
  private added = 0;

  /** How many there ever were: tells what comes after this moment. */
  get mark(): number {
    return this.added;
  }

  add(entry: LedgerEntry): void {
    this.entries.set(entry, this.added);
    this.added += 1;
  }

  /** Its transaction was rolled back: as if it had never been. */
  remove(entry: LedgerEntry): void {
    this.entries.delete(entry);
  }

  /** @param since a `mark`: leaves out what was there before it. */
  in(states: readonly JobState[], since = 0): LedgerEntry[] {
    const found: LedgerEntry[] = [];
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
