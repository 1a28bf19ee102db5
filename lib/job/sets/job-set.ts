import { NOTIFIED_CHANNEL } from '../outbox/insert';
import { dueRecord, type JobEntry, killedRecord, queuedRecord, rewritten, type SetName } from './entry';
import type { Transition } from './move-script';
import {
  type BulkOptions,
  type BulkResult,
  BulkRun,
  type CheckedFilter,
  type CheckedRef,
  checkBounds,
  checkFilter,
  checkRef,
  checkSort,
  InvalidRequestError,
  type JobAction,
  type JobFilter,
  type JobPage,
  type JobRef,
  type Outlines,
  type PageRequest,
  type Selection,
  type SetSources,
  SORTED_AT_MOST,
  type Sort,
  sortOutlines,
} from './query';

/**
 * A set of jobs that operators read and move. Each move checks and moves in one step: when two operators move the same
 * job, one of them does. All methods throw InvalidRequestError for an invalid request.
 */
export abstract class JobSet {
  abstract readonly name: SetName;
  /** true: its jobs are in Postgres, and the relays are notified of those that become due. */
  protected readonly notifies: boolean = false;

  constructor(protected readonly sources: SetSources) {}

  /** Reads a page, and counts the matching jobs unless `count` is false. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const sort = checkSort(request);
    return sort && sort.by !== 'at' ? this.sortedPage(request, sort) : this.pageByTime(request);
  }

  /** Reads the first matching jobs in the set's own order, with no more than sorting and counting need. */
  outlines(filter: JobFilter, limit: number): Promise<Outlines> {
    return this.readOutlines(checkFilter(filter), limit);
  }

  abstract count(filter?: JobFilter): Promise<number>;
  /** The number of jobs in the set; cheaper than `count()`. */
  abstract size(): Promise<number>;
  /** @returns the entries of those jobs that are in the set, in the order given. @throws InvalidRequestError. */
  async entries(refs: readonly JobRef[]): Promise<JobEntry[]> {
    return this.entriesOf(refs.map(checkRef));
  }

  /** Deletes jobs for good. */
  deleteMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(DELETE, selection, options);
  }

  protected abstract pageByTime(request: PageRequest): Promise<JobPage>;
  protected abstract readOutlines(filter: CheckedFilter, limit: number): Promise<Outlines>;
  /** @returns entries in the order of the references, without jobs that have left the set. */
  protected abstract entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]>;
  protected abstract moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number>;
  /** @returns false when the run's limit or signal ended it. */
  protected abstract moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean>;

  /** Reads a page that is sorted by another key than time. */
  protected async sortedPage(request: PageRequest, sort: Sort): Promise<JobPage> {
    const { offset, limit, count } = checkBounds(request);
    const sorted = sortOutlines(await this.outlines(request, SORTED_AT_MOST), sort);
    const entries = await this.entriesOf(sorted.slice(offset, offset + limit));
    return { entries, total: count ? sorted.length : undefined, complete: true, next: undefined };
  }

  /**
   * Moves jobs in chunks; earlier chunks stay moved when a later one fails.
   * @returns how many were moved, without those that are not, or no longer, in this set.
   */
  protected async many(move: Transition, selection: Selection, options: BulkOptions = {}): Promise<BulkResult> {
    const run = new BulkRun(options);
    try {
      const complete =
        'ids' in selection
          ? await this.moveSelected(move, selection.ids.map(checkRef), run)
          : await this.moveMatching(move, checkFilter(selection.filter), run);
      return { moved: run.moved, complete };
    } finally {
      this.report(move, run.moved);
    }
  }

  private async moveSelected(move: Transition, refs: readonly CheckedRef[], run: BulkRun): Promise<boolean> {
    let done = 0;
    while (done < refs.length && run.chunk > 0) {
      const chunk = refs.slice(done, done + run.chunk);
      done += chunk.length;
      run.add(await this.moveRefs(move, chunk));
    }
    return done >= refs.length;
  }

  private report({ action, to }: Transition, count: number): void {
    const { events, via, redis } = this.sources;
    if (count === 0) return;
    events.emit('operator.jobs', { action, set: this.name, count, via });
    if (!this.notifies || (to !== 'queue' && to !== 'delay')) return;
    // Said over Redis, too, as with each enqueue: a relay whose connection has fallen silent hears no notification.
    redis.publish(`${redis.options.keyPrefix ?? ''}${NOTIFIED_CHANNEL}`, '0').catch(() => undefined);
  }
}

/** A set of jobs that will run by themselves. */
export abstract class PendingSet extends JobSet {
  /** Changes the time of jobs. @param at a time in the past means now. */
  async rescheduleMany(selection: Selection, at: Date, options?: BulkOptions): Promise<BulkResult> {
    return this.many(rescheduleTo(at), selection, options);
  }

  /** Moves jobs to the dead set. */
  killMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(KILL, selection, options);
  }
}

/** The entries that are referred to, in the order of the references. */
export function inOrderOf(refs: readonly CheckedRef[], entries: readonly JobEntry[]): JobEntry[] {
  return refs.flatMap(({ id, queue }) => {
    return entries.find((entry) => entry.id === id && (queue === undefined || entry.queue === queue)) ?? [];
  });
}

/** @returns the transition to the tail of the queue; attempts stay counted. */
export function toQueue(action: JobAction): Transition {
  return { action, to: 'queue', prepare: async (jobs) => jobs.map((job) => rewritten(job.text, queuedRecord)) };
}

const KILL: Transition = {
  action: 'kill',
  to: 'dead',
  prepare: async (jobs) => jobs.map((job) => rewritten(job.text, killedRecord)),
};

const DELETE: Transition = { action: 'delete', to: 'delete' };

/** @param at a time in the past means now. @throws InvalidRequestError. */
function rescheduleTo(at: Date): Transition {
  const ms = at instanceof Date ? at.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidRequestError(`the time is ${String(at)}; give a valid date`);
  // bee-queue looks for due jobs from score 0 on, so a negative one would never run.
  return {
    action: 'reschedule',
    to: 'delay',
    at: Math.max(ms, 0),
    prepare: async (jobs) => jobs.map((job) => rewritten(job.text, (record) => dueRecord(record, ms))),
  };
}
