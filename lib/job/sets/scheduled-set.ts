import type { Knex } from 'knex';
import { insertDeaths } from '../outbox/dead-jobs';
import { isUuid } from '../outbox/table';
import { newRecord } from '../record/record';
import { describeRow, type JobEntry, killedRecord, rewritten } from './entry';
import { inOrderOf, PendingSet, toQueue } from './job-set';
import { locate, SetMover, type Transition } from './move-script';
import {
  countRows,
  databaseTime,
  deleteScheduledRows,
  lockRows,
  outlineRows,
  pageOfRows,
  type RowChoice,
  rescheduleRows,
  rowCondition,
  runRows,
  type ScheduledRow,
  theseRows,
} from './outbox-rows';
import {
  type BulkOptions,
  type BulkResult,
  type BulkRun,
  type CheckedFilter,
  type CheckedRef,
  checkBounds,
  checkFilter,
  type JobFilter,
  type JobPage,
  type Outlines,
  type PageRequest,
  readCursor,
  type Selection,
  type SetSources,
  writeCursor,
} from './query';
import { RedisSet } from './redis-set';
import { countScan, scanPage, sizeOfSet } from './scan';
import type { ScanPosition } from './scan-script';

const PROMOTE = toQueue('promote');
const EARLIEST_MS = Date.UTC(0, 0);
const LATEST_MS = Date.UTC(9999, 11);

/**
 * Jobs that were enqueued for later and have not run yet, soonest first. Ours wait in the outbox in Postgres; those of
 * plain bee-queue producers wait in Redis.
 */
export class ScheduledSet extends PendingSet {
  readonly name = 'scheduled';
  protected override readonly notifies = true;
  private readonly inRedis: RedisSet;
  private readonly mover: SetMover;
  private readonly rowMover: RowMover;

  constructor(sources: SetSources) {
    super(sources);
    this.inRedis = new RedisSet(sources, { name: 'scheduled', retrying: false });
    this.mover = new SetMover(sources, this.inRedis);
    this.rowMover = new RowMover(sources);
  }

  protected async pageByTime(request: PageRequest): Promise<JobPage> {
    const { knex } = this.sources;
    const { offset, limit, count } = checkBounds(request);
    const filter = checkFilter(request);
    const after = request.after === undefined ? undefined : readCursor(this.name, request.after);
    // The first jobs in Redis are read, since any of them may be on this page; Postgres merges them with its rows.
    const bounds = { offset: 0, limit: offset + limit + 1, count };
    const newestFirst = request.sort?.descending ?? false;
    const scanner = this.inRedis.scanner(filter, { idsOnly: true, newestFirst });
    const theirs = await scanPage(scanner, bounds, after && inMilliseconds(after));
    const condition = rowCondition(filter);
    const others = theirs.jobs
      .filter(({ id }) => !id.includes('\0'))
      .map(({ score, queue, id }) => ({ at: moment(score), queue, id }));
    const rows = await pageOfRows(knex, condition, { after, offset, limit: limit + 1, newestFirst }, others);
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      entries: await this.describe(shown),
      total: count ? (theirs.total ?? 0) + (await countRows(knex, condition)) : undefined,
      complete: theirs.complete,
      next: rows.length > limit && last ? writeCursor(this.name, { ...last, score: last.at }) : undefined,
    };
  }

  async count(filter: JobFilter = {}): Promise<number> {
    const checked = checkFilter(filter);
    const theirs = await countScan(this.inRedis.scanner(checked));
    return theirs.total + (await countRows(this.sources.knex, rowCondition(checked)));
  }

  size(): Promise<number> {
    return sizeOfSet('scheduled', this.sources);
  }

  /** Makes jobs run now: they go to the tails of their queues. */
  promoteMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(PROMOTE, selection, options);
  }

  protected async moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number> {
    return (await this.rowMover.moveRefs(move, refs)) + (await this.mover.moveRefs(move, refs));
  }

  protected async moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    return (await this.rowMover.moveMatching(move, filter, run)) && (await this.mover.moveMatching(move, filter, run));
  }

  protected async readOutlines(filter: CheckedFilter, limit: number): Promise<Outlines> {
    const theirs = await this.inRedis.outlines(filter, limit);
    const rows = await outlineRows(this.sources.knex, rowCondition(filter), limit + 1);
    const jobs = [...theirs.jobs, ...rows].sort((a, b) => a.at - b.at).slice(0, limit);
    return { jobs, complete: theirs.complete && rows.length + theirs.jobs.length <= limit };
  }

  protected async entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]> {
    const condition = theseRows(refs.map(({ id }) => id).filter(isUuid));
    const all = { after: undefined, offset: 0, limit: refs.length };
    const ours = await this.describe(await pageOfRows(this.sources.knex, condition, all, []));
    return inOrderOf(refs, [...ours, ...(await this.inRedis.entriesOf(refs))]);
  }

  /** Describes rows of a page; the records of jobs that are in Redis are read here. */
  private async describe(rows: readonly ScheduledRow[]): Promise<JobEntry[]> {
    const theirs = rows.filter((row) => row.payload === null);
    const found = await locate(this.sources.redis, this.sources.queues, theirs);
    return rows.flatMap(({ id, queue, at, payload }) => {
      if (payload !== null) return [describeRow({ id, queue, set: this.name, at: new Date(at / 1000), payload })];
      const job = found.find((one) => one.id === id && one.queue === queue);
      return job ? [this.inRedis.describe(job)] : [];
    });
  }
}

/**
 * Limits a score to times that Postgres can hold, since a plain producer's may be anything, such as `inf`.
 * @returns µs.
 */
function moment(score: number): number {
  return Math.min(Math.max(Number.isNaN(score) ? LATEST_MS : score, EARLIEST_MS), LATEST_MS) * 1000;
}

function inMilliseconds({ score, ...job }: ScanPosition): ScanPosition {
  return { ...job, score: score / 1000 };
}

/** Moves jobs that wait in the outbox. */
class RowMover {
  constructor(private readonly sources: Pick<SetSources, 'knex'>) {}

  /** @returns how many were moved. */
  async moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number> {
    let moved = 0;
    // One statement for all that name no queue, and one for each queue that is named.
    for (const queue of new Set(refs.map((ref) => ref.queue))) {
      const ids = [...new Set(refs.filter((ref) => ref.queue === queue && isUuid(ref.id)).map((ref) => ref.id))];
      if (ids.length === 0) continue;
      const condition = theseRows(ids, queue === undefined ? undefined : [queue]);
      moved += (await this.move(move, { condition, limit: ids.length, locked: 'wait' })).moved;
    }
    return moved;
  }

  /** @returns false when the run's limit or signal ended it. */
  async moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    const condition = rowCondition(filter);
    const until = await databaseTime(this.sources.knex);
    while (run.chunk > 0) {
      const limit = run.chunk;
      const { moved, chosen } = await this.move(move, { condition, limit, locked: 'skip', until });
      run.add(moved);
      // Rows that were chosen but not moved would be chosen again without end.
      if (chosen < limit || moved === 0) return true;
    }
    return false;
  }

  private async move(
    move: Transition,
    choice: RowChoice,
  ): Promise<{ readonly moved: number; readonly chosen: number }> {
    const { knex } = this.sources;
    if (move.to === 'dead') return this.kill(choice);
    const moved = await (move.to === 'queue'
      ? runRows(knex, choice)
      : move.to === 'delay'
        ? rescheduleRows(knex, choice, move.at ?? 0)
        : deleteScheduledRows(knex, choice));
    return { moved, chosen: moved };
  }

  /** The rows are locked, so that neither the relay nor another operator takes them meanwhile. */
  private kill(choice: RowChoice): Promise<{ readonly moved: number; readonly chosen: number }> {
    return this.sources.knex.transaction(async (trx: Knex.Transaction) => {
      const rows = await lockRows(trx, choice);
      const deaths = rows.map(({ id, queue, payload }) => {
        const fresh = newRecord(payload);
        return { id, queue, record: rewritten(fresh, killedRecord) ?? fresh };
      });
      return { moved: await insertDeaths(trx, deaths), chosen: rows.length };
    });
  }
}
