import { describeJob, isRetrying, type JobEntry } from './entry';
import { inOrderOf, PendingSet, toQueue } from './job-set';
import { locate, SetMover, type Transition } from './move-script';
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
  luaFilter,
  type Outlines,
  type PageRequest,
  readCursor,
  type Selection,
  type SetSources,
  writeCursor,
} from './query';
import {
  countScan,
  createScanner,
  type FoundJob,
  readOutlines,
  type SetScanner,
  scanPage,
  sizeInRedis,
  sizeOf,
} from './scan';
import type { Scan, ScanPosition } from './scan-script';

interface RedisSetKind {
  readonly name: 'retry' | 'scheduled';
  /** true: only jobs that failed; false: only the others. */
  readonly retrying: boolean;
}

interface ScanOptions {
  /** Default false. */
  readonly newestFirst?: boolean;
  readonly idsOnly?: boolean;
  readonly trustIds?: boolean;
}

/** Reads a set whose jobs are in `delayed` of each queue in Redis. */
export class RedisSet {
  constructor(
    readonly sources: Pick<SetSources, 'redis' | 'queues'>,
    readonly kind: RedisSetKind,
  ) {}

  /** Reads a page in the order of time. @throws InvalidRequestError. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const { name } = this.kind;
    const bounds = checkBounds(request);
    const after = request.after === undefined ? undefined : readCursor(name, request.after);
    const order = { newestFirst: request.sort?.descending ?? false };
    const page = await scanPage(this.scanner(checkFilter(request), order), bounds, after);
    const { total, complete, next } = page;
    const entries = page.jobs.map((job) => this.describe(job));
    return { entries, total, complete, next: next && writeCursor(name, next) };
  }

  /** @throws InvalidRequestError. */
  async count(filter: JobFilter = {}): Promise<number> {
    return (await countScan(this.scanner(checkFilter(filter)))).total;
  }

  size(): Promise<number> {
    return sizeInRedis(this.kind.name, this.sources);
  }

  /** Reads the first matching jobs, in the set's order. */
  outlines(filter: CheckedFilter, limit: number): Promise<Outlines> {
    return readOutlines(this.sources.redis, this.scan(filter), limit);
  }

  /** @returns the entries of these jobs, in the order given, without those that have left the set. */
  async entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]> {
    const { redis, queues } = this.sources;
    const located = await locate(redis, queues, refs);
    const found = located.filter((job) => isRetrying(job.text) === this.kind.retrying);
    return inOrderOf(
      refs,
      found.map((job) => this.describe(job)),
    );
  }

  /** @returns an upper bound for the number of jobs that a scan meets. */
  extent(filter: CheckedFilter): Promise<number> {
    return sizeOf(this.sources.redis, this.scan(filter));
  }

  scanner(filter: CheckedFilter, options: ScanOptions = {}): SetScanner<ScanPosition> {
    const { newestFirst = false, idsOnly = false, trustIds } = options;
    return createScanner(this.sources.redis, { ...this.scan(filter, trustIds), newestFirst, idsOnly });
  }

  private scan(filter: CheckedFilter, trustIds = false): Scan {
    const { retrying } = this.kind;
    const queues = [...new Set(filter.queues ?? this.sources.queues)].sort();
    const { since, until } = filter;
    return { newestFirst: false, queues, since, until, filter: luaFilter(filter, { retrying, trustIds }) };
  }

  describe({ id, queue, score, text, progress }: FoundJob): JobEntry {
    return describeJob({ id, queue, set: this.kind.name, at: new Date(score), text, progress });
  }
}

const RETRY = toQueue('retry');

/** Jobs that have failed and will run again by themselves, soonest first. They are in Redis only. */
export class RetrySet extends PendingSet {
  readonly name = 'retry';
  private readonly jobs: RedisSet;
  private readonly mover: SetMover;

  constructor(sources: SetSources) {
    super(sources);
    this.jobs = new RedisSet(sources, { name: 'retry', retrying: true });
    this.mover = new SetMover(sources, this.jobs);
  }

  protected pageByTime(request: PageRequest): Promise<JobPage> {
    return this.jobs.page(request);
  }

  protected readOutlines(filter: CheckedFilter, limit: number): Promise<Outlines> {
    return this.jobs.outlines(filter, limit);
  }

  protected entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]> {
    return this.jobs.entriesOf(refs);
  }

  count(filter?: JobFilter): Promise<number> {
    return this.jobs.count(filter);
  }

  size(): Promise<number> {
    return this.jobs.size();
  }

  protected moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number> {
    return this.mover.moveRefs(move, refs);
  }

  protected moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    return this.mover.moveMatching(move, filter, run);
  }

  /** Makes jobs run now: they go to the tails of their queues; their attempts stay counted. */
  retryMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(RETRY, selection, options);
  }
}
