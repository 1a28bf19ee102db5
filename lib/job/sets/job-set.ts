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
 * Jobs that operators look at and move. Each move is a check and a move in one: of two operators who move the same job,
 * one moves it. All methods throw InvalidRequestError for what makes no sense.
 */
export abstract class JobSet {
  abstract readonly name: SetName;

  constructor(protected readonly sources: SetSources) {}

  /** A page, with how many match. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const sort = checkSort(request);
    return sort && sort.by !== 'at' ? this.sortedPage(request, sort) : this.pageByTime(request);
  }

  /** The first of those that match, in the set's own order, with little more than their names. */
  outlines(filter: JobFilter, limit: number): Promise<Outlines> {
    return this.readOutlines(checkFilter(filter), limit);
  }

  abstract count(filter?: JobFilter): Promise<number>;
  /** How many there are, cheaper than `count()`. */
  abstract size(): Promise<number>;
  /** Of these jobs those that are in the set, in their order. @throws InvalidRequestError. */
  async entries(refs: readonly JobRef[]): Promise<JobEntry[]> {
    return this.entriesOf(refs.map(checkRef));
  }

  /** For good. */
  deleteMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(DELETE, selection, options);
  }

  protected abstract pageByTime(request: PageRequest): Promise<JobPage>;
  protected abstract readOutlines(filter: CheckedFilter, limit: number): Promise<Outlines>;
  /** In the order of the references; of those that have left the set there is none. */
  protected abstract entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]>;
  protected abstract moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number>;
  /** @returns whether it came to the end. */
  protected abstract moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean>;

  /** By anything but time. */
  protected async sortedPage(request: PageRequest, sort: Sort): Promise<JobPage> {
    const { offset, limit, count } = checkBounds(request);
    const sorted = sortOutlines(await this.outlines(request, SORTED_AT_MOST), sort);
    const entries = await this.entriesOf(sorted.slice(offset, offset + limit));
    return { entries, total: count ? sorted.length : undefined, complete: true, next: undefined };
  }

  /**
   * In chunks. What was moved stays moved when a later one fails.
   * @returns how many were moved: those that are not, or no longer, in this set are not among them.
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
      this.tell(move, run.moved);
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

  private tell({ action }: Transition, count: number): void {
    const { events, via } = this.sources;
    if (count > 0) events.emit('operator.jobs', { action, set: this.name, count, via });
  }
}

/** To the tail of the queue; attempts stay counted. */
export function toQueue(action: JobAction): Transition {
  return { action, to: 'queue', prepare: async (jobs) => jobs.map((job) => rewritten(job.text, queuedRecord)) };
}

export const KILL: Transition = {
  action: 'kill',
  to: 'dead',
  prepare: async (jobs) => jobs.map((job) => rewritten(job.text, killedRecord)),
};

const DELETE: Transition = { action: 'delete', to: 'delete' };

/** @param at a moment that has passed stands for now. @throws InvalidRequestError. */
export function rescheduleTo(at: Date): Transition {
  const ms = at instanceof Date ? at.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidRequestError(`the time is ${String(at)}; give a valid date`);
  // bee-queue looks for what is due from 0 on.
  return {
    action: 'reschedule',
    to: 'delay',
    at: Math.max(ms, 0),
    prepare: async (jobs) => jobs.map((job) => rewritten(job.text, (record) => dueRecord(record, ms))),
  };
}
